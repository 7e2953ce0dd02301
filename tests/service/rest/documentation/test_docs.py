import re
from urllib.parse import urljoin

from tests.service.serving import Service


def test_the_page_loads_nothing_from_other_hosts(service: Service) -> None:
    page = service.get("/docs")
    assert page.status_code == 200
    assert "<title>Caveat</title>" in page.text
    assert not re.findall(r"(?:https?:)?//[a-z]", page.text)
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) == 3
    for path in [urljoin("/docs", file) for file in files]:
        assert path.startswith("/docs/assets/")
        assert service.get(path).status_code == 200
