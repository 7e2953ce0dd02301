from pathlib import Path

from tests.service.serving import serving


def test_requests_rows_and_passes_are_counted(bundles: Path) -> None:
    with serving(bundles) as service:
        service.ask("/models/linear/predict", inputs=[[1, 2, 3]] * 3)
        service.ask("/models/linear/predict/uncertainty", inputs=[[1, 2, 3]] * 2, samples=10)
        service.ask("/models/linear/predict", inputs=[[1, 2]])
        for number in range(50):
            service.get(f"/nothing/{number}")
            service.get(f"/models/none{number}")
            service.client.request(f"VERB{number}", "/predict")
        response = service.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#"))
    linear = 'model="linear"'
    predict = "/models/{name}/predict"
    for code, count in ((200, 1), (422, 1)):
        assert (
            lines[f'caveat_requests_total{{code="{code}",{linear},route="{predict}",version="1"}}']
            == f"{count}.0"
        )
    assert lines['caveat_rows_total{model="linear",version="1"}'] == "5.0"
    assert lines['caveat_passes_total{model="linear",version="1"}'] == "20.0"
    assert lines['caveat_requests_total{code="404",model="(none)",route="(none)",version="(none)"}'] == "50.0"
    assert lines[f'caveat_request_seconds_count{{route="{predict}"}}'] == "2.0"
    assert "none1" not in response.text
    assert "VERB1" not in response.text
    assert "process_resident_memory_bytes" in lines
