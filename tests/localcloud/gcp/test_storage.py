"""Cloud Storage as its own clients use it: gcsfs and google-cloud-storage unmodified, and the API where they hide it."""

import requests
import pytest


class Api:
    def __init__(self, endpoints):
        self.endpoints = endpoints
        self.owner = endpoints.cloud.tokens.service_account

    def __call__(self, method, path, *, account="", anonymous=False, headers=None, **kwargs):
        token = self.endpoints.cloud.tokens.issue(account or self.owner)
        given = {} if anonymous else {"Authorization": f"Bearer {token}"}
        url = f"{self.endpoints.rest}/{path}"
        return requests.request(method, url, headers={**given, **(headers or {})}, timeout=10, **kwargs)


@pytest.fixture
def api(endpoints):
    api = Api(endpoints)
    api("POST", "storage/v1/b?project=gpu-hunter-local", json={"name": "art"})
    return api
def test_x(api):
    r = api("POST", "upload/storage/v1/b/art/o?uploadType=media&name=a%2Fb.txt", data=b"hello")
    print(r.status_code, r.text)
    r = api("GET", "storage/v1/b/art/o/a%2Fb.txt?alt=media", headers={"Range": "bytes=1-2"})
    print(r.status_code, r.text, r.headers)
    r = api("GET", "storage/v1/b/art/o?delimiter=/")
    print(r.status_code, r.text, r.headers)
    assert 0
