import threading
import time

from tests.service.serving import Service


def test_health_answers_while_a_long_request_runs(service: Service) -> None:
    body = {"inputs": [[1, 2, 3]] * 100, "samples": 1000}
    done = threading.Event()

    def work() -> None:
        for _ in range(20):
            assert service.ask("/models/linear/predict/uncertainty", **body).status_code == 200
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    slowest = 0.0
    while not done.is_set():
        start = time.perf_counter()
        assert service.get("/health/live").status_code == 200
        slowest = max(slowest, time.perf_counter() - start)
    worker.join()
    assert slowest < 0.5
