"""Lists: selectors, pages, resourceVersion semantics, Tables and metadata alone."""

import pytest

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def maps(ns):
    return f"/api/v1/namespaces/{ns}/configmaps"


def names(response):
    return [item["metadata"]["name"] for item in response.json()["items"]]


@pytest.fixture
def three(http, ns):
    """Put three objects with different labels into the namespace."""
    for name, labels in (("a", {"tier": "front", "n": "1"}), ("b", {"tier": "back"}), ("c", {})):
        http.create(maps(ns), {"metadata": {"name": name, "labels": labels}})
    return ns


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        pytest.param("tier=front", ["a"], id="equal"),
        pytest.param("tier==back", ["b"], id="double equal"),
        pytest.param("tier!=front", ["b", "c"], id="not equal takes absent"),
        pytest.param("tier in (front, back)", ["a", "b"], id="in"),
        pytest.param("tier notin (front)", ["b", "c"], id="notin"),
        pytest.param("tier", ["a", "b"], id="exists"),
        pytest.param("!tier", ["c"], id="absent"),
        pytest.param("tier=front,n=1", ["a"], id="and"),
        pytest.param("n>0", ["a"], id="greater"),
        pytest.param("n<1", [], id="less"),
    ],
)
def test_label_selectors(http, three, selector, wanted):
    """Label selectors mean what they mean."""
    assert names(http.get(maps(three), labelSelector=selector)) == wanted


@pytest.mark.parametrize("selector", ["a==b==c", "a in b", "=", "a in (b"])
def test_bad_label_selector(http, ns, selector):
    """A label selector that cannot be read is 400."""
    assert http.get(maps(ns), labelSelector=selector).status_code == 400


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        pytest.param("metadata.name=b", ["b"], id="name"),
        pytest.param("metadata.name!=b", ["a", "c"], id="not name"),
    ],
)
def test_field_selectors(http, three, selector, wanted):
    """Field selectors on the name work for every kind."""
    selector = f"{selector},metadata.namespace={three}"
    assert [one for one in names(http.get(maps(three), fieldSelector=selector)) if one in "abc"] == wanted


@pytest.mark.parametrize("selector", ["spec.x=1", "metadata.name"])
def test_bad_field_selector(http, ns, selector):
    """A field that the kind does not select by is 400."""
    assert http.get(maps(ns), fieldSelector=selector).status_code == 400


def test_pod_field_selectors(http, ns):
    """Pods are selected by node and phase."""
    spec = {"containers": [{"name": "c", "image": "i"}]}
    pods = f"/api/v1/namespaces/{ns}/pods"
    http.create(pods, {"metadata": {"name": "p"}, "spec": spec})
    http.create(pods, {"metadata": {"name": "q"}, "spec": {**spec, "nodeName": "n1"}})
    assert names(http.get(pods, fieldSelector="spec.nodeName=n1")) == ["q"]
    assert names(http.get(pods, fieldSelector="spec.nodeName=")) == ["p"]
    assert names(http.get(pods, fieldSelector="status.phase=Pending")) == ["p", "q"]
    assert names(http.get(pods, fieldSelector="status.phase!=Pending")) == []


def test_event_field_selectors(http, ns):
    """Events are selected by whom they concern."""
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": ns, "uid": "u"},
        "reason": "Because",
        "type": "Warning",
        "message": "m",
    }
    events = f"/api/v1/namespaces/{ns}/events"
    http.create(events, event)
    assert names(http.get(events, fieldSelector="involvedObject.name=p,involvedObject.kind=Pod,type=Warning")) == ["e"]
    assert names(http.get(events, fieldSelector="reason=Other")) == []
    assert names(http.get(events, fieldSelector="involvedObject.uid=u,reason=Because")) == ["e"]


def test_list_form(http, three):
    """A list has a kind, a resourceVersion, and items without kind and apiVersion."""
    body = http.get(maps(three)).json()
    assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
    assert body["metadata"]["resourceVersion"].isdigit()
    assert not any("kind" in item or "apiVersion" in item for item in body["items"])


def test_list_of_all_namespaces(http, three):
    """The collection without a namespace holds the objects of all."""
    found = http.get("/api/v1/configmaps", labelSelector="tier").json()["items"]
    assert {"a", "b"} <= {item["metadata"]["name"] for item in found if item["metadata"]["namespace"] == three}


def test_pages(http, three):
    """With limit and continue pages give every object once, and the last page has no token."""
    seen, token, pages = [], "", 0
    while True:
        query = {"continue": token} if token else {}
        body = http.get(maps(three), limit=2, labelSelector="", **query).json()
        seen += [item["metadata"]["name"] for item in body["items"]]
        pages += 1
        token = body["metadata"].get("continue", "")
        if not token:
            break
    assert [one for one in seen if one in "abc"] == ["a", "b", "c"]
    assert pages >= 2


def test_first_page_counts_the_rest(http, three):
    """Without selectors the first page says how many remain."""
    body = http.get(maps(three), limit=1).json()
    assert body["metadata"]["remainingItemCount"] >= 2


def test_pages_are_one_snapshot(http, three):
    """What is created between two pages is not in the second."""
    first = http.get(maps(three), limit=1).json()
    http.create(maps(three), {"metadata": {"name": "bb"}})
    rest = http.get(maps(three), limit=100, **{"continue": first["metadata"]["continue"]})
    assert "bb" not in names(rest)
    assert rest.json()["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_bad_continue(http, ns):
    """A token that is none is 400."""
    assert http.get(maps(ns), limit=1, **{"continue": "nonsense"}).status_code == 400


def test_exact_version_shows_the_past(http, three):
    """resourceVersionMatch=Exact shows the state as it was."""
    rv = http.get(maps(three)).json()["metadata"]["resourceVersion"]
    http("DELETE", f"{maps(three)}/b")
    http.create(maps(three), {"metadata": {"name": "later"}})
    past = names(http.get(maps(three), resourceVersion=rv, resourceVersionMatch="Exact"))
    assert "b" in past
    assert "later" not in past


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}])
def test_any_version(http, three, query):
    """A list without a version, or at 0, shows what is there."""
    assert {"a", "b", "c"} <= set(names(http.get(maps(three), **query)))


def test_not_older_than(http, three):
    """A list that is not older than a version shows at least that."""
    made = http.create(maps(three), {"metadata": {"name": "d"}})
    rv = made["metadata"]["resourceVersion"]
    assert "d" in names(http.get(maps(three), resourceVersion=rv, resourceVersionMatch="NotOlderThan"))


def test_version_from_the_future(http, ns):
    """A version that does not exist yet is 504 with a hint to come back."""
    status = http.get(maps(ns), resourceVersion="999999999").json()
    assert (status["code"], status["reason"]) == (504, "Timeout")
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"resourceVersionMatch": "Exact"}, id="match without version"),
        pytest.param({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, id="exactly any"),
        pytest.param({"resourceVersion": "1", "resourceVersionMatch": "Roughly"}, id="unknown match"),
    ],
)
def test_bad_version_match(http, ns, query):
    """Parameters that contradict each other are 422."""
    status = http.get(maps(ns), **query).json()
    assert (status["code"], status["reason"]) == (422, "Invalid")


def test_table(http, three):
    """A Table has columns, and a row with the object's metadata for each object."""
    body = http.get(maps(three), TABLE).json()
    assert (body["kind"], body["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in body["columnDefinitions"]] == ["Name", "Data", "Age"]
    row = next(row for row in body["rows"] if row["cells"][0] == "a")
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["labels"] == {"tier": "front", "n": "1"}


def test_table_with_objects(http, three):
    """includeObject=Object puts the whole object into the rows."""
    body = http.get(maps(three), TABLE, includeObject="Object").json()
    assert {row["object"]["kind"] for row in body["rows"]} == {"ConfigMap"}


def test_metadata_alone(http, three):
    """PartialObjectMetadataList leaves everything but metadata away."""
    body = http.get(maps(three), "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").json()
    assert body["kind"] == "PartialObjectMetadataList"
    assert all("data" not in item for item in body["items"])


def test_unknown_media_type_is_not_acceptable(http, ns):
    """An Accept header that cannot be met is 406."""
    assert http.get(maps(ns), "text/html").status_code == 406
