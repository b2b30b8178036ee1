"""IAM as callers meet it: accounts, custom roles, policies with etags, what they grant, and the record of it."""

import asyncio

import pytest
import requests
from google.api_core.exceptions import Forbidden
from google.cloud import compute_v1, container_v1
from google.oauth2.credentials import Credentials

from controlplane.localcloud.gcp.project import Use

PROJECT = "projects/gpu-hunter-local"
HUNTER = "gpu-hunter@gpu-hunter-local.iam.gserviceaccount.com"
ROLE = f"{PROJECT}/roles/gpuHunter"


@pytest.fixture
def role(call):
    """Give a custom role with two permissions, bound to an account of its own."""
    permissions = ["compute.regions.list", "container.clusters.list"]
    call.make_hunter()
    body = {"roleId": "gpuHunter", "role": {"title": "GPU Hunter", "stage": "GA", "includedPermissions": permissions}}
    made = call.well("POST", f"{PROJECT}/roles", body)
    call.bind(ROLE, f"serviceAccount:{HUNTER}")
    return made


def test_an_account_is_made_once_and_its_name_is_taken_then(call):
    """409 in IAM's words for the second; the first is found by its email, its number and in the list."""
    made = call.make_hunter()
    assert made["email"] == HUNTER
    assert made["name"] == f"{PROJECT}/serviceAccounts/{HUNTER}"
    again = call.refused("POST", f"{PROJECT}/serviceAccounts", {"accountId": "gpu-hunter"})
    assert again == ("ALREADY_EXISTS", f"Service account gpu-hunter already exists within project {PROJECT}.")
    assert call.well("GET", f"projects/-/serviceAccounts/{HUNTER}") == made
    assert call.well("GET", f"{PROJECT}/serviceAccounts/{made['uniqueId']}") == made
    assert HUNTER in {each["email"] for each in call.well("GET", f"{PROJECT}/serviceAccounts")["accounts"]}


@pytest.mark.parametrize("name", ["", "short", "Upper-case", "ends-with-", "x" * 31])
def test_an_accounts_id_that_google_would_not_take_is_refused(call, name):
    """Six to thirty of the right characters."""
    status, _ = call.refused("POST", f"{PROJECT}/serviceAccounts", {"accountId": name})
    assert status == "INVALID_ARGUMENT"


def test_a_deleted_account_stays_in_policies_marked_and_has_no_rights(call, role):
    """As Google shows it, with its number; a new account of the same name does not get the old one's rights."""
    number = call.well("GET", f"{PROJECT}/serviceAccounts/{HUNTER}")["uniqueId"]
    call.well("DELETE", f"{PROJECT}/serviceAccounts/{HUNTER}")
    assert call.refused("GET", f"{PROJECT}/serviceAccounts/{HUNTER}")[0] == "NOT_FOUND"
    members = {m for b in call.well("POST", f"{PROJECT}:getIamPolicy")["bindings"] for m in b["members"]}
    assert f"deleted:serviceAccount:{HUNTER}?uid={number}" in members
    call.make_hunter()
    assert call("GET", f"{PROJECT}/locations/-/clusters", account=HUNTER).status_code == 403


def test_a_policy_is_written_only_over_the_one_that_was_read(call):
    """409 ABORTED for an etag that is no longer the policy's, and nothing is written."""
    call.make_hunter()
    old = call.well("POST", f"{PROJECT}:getIamPolicy")
    call.bind("roles/run.invoker", f"serviceAccount:{HUNTER}")
    status, text = call.refused("POST", f"{PROJECT}:setIamPolicy", {"policy": old})
    assert status == "ABORTED"
    assert "concurrent policy changes" in text
    assert "roles/run.invoker" in {b["role"] for b in call.well("POST", f"{PROJECT}:getIamPolicy")["bindings"]}


@pytest.mark.parametrize(
    ("role_name", "member", "text"),
    [
        pytest.param(
            "roles/run.invoker",
            f"serviceAccount:{HUNTER}",
            f"Service account {HUNTER} does not exist.",
            id="no-such-account",
        ),
        pytest.param("roles/none.such", "user:a@b.c", "Role roles/none.such is not supported", id="no-such-role"),
        pytest.param(ROLE, "user:a@b.c", f"Role ({ROLE}) does not exist in", id="no-such-custom-role"),
        pytest.param("roles/viewer", HUNTER, f"The member {HUNTER} is of an unknown type.", id="no-type"),
    ],
)
def test_a_binding_of_what_does_not_exist_is_refused(call, role_name, member, text):
    """400, in IAM's words."""
    policy = call.well("POST", f"{PROJECT}:getIamPolicy")
    policy["bindings"].append({"role": role_name, "members": [member]})
    status, found = call.refused("POST", f"{PROJECT}:setIamPolicy", {"policy": policy})
    assert status == "INVALID_ARGUMENT"
    assert found.startswith(text)


def test_an_account_has_its_roles_permissions_and_no_others(call, endpoints, role):
    """Over REST through the published clients, and in what testIamPermissions says."""
    credentials = Credentials(endpoints.cloud.tokens.issue(HUNTER))
    options = {"api_endpoint": endpoints.rest}
    clusters = container_v1.ClusterManagerClient(credentials=credentials, transport="rest", client_options=options)
    regions = compute_v1.RegionsClient(credentials=credentials, transport="rest", client_options=options)
    assert clusters.list_clusters(parent=f"{PROJECT}/locations/-").clusters
    assert list(regions.list(project="gpu-hunter-local"))
    with pytest.raises(
        Forbidden, match=r'Required "container\.clusters\.get" permission\(s\) for "projects/gpu-hunter'
    ):
        clusters.get_cluster(name=f"{PROJECT}/locations/us-west2/clusters/hunt-config")
    with pytest.raises(Forbidden, match=r"Required 'compute\.regions\.get' permission for 'projects/gpu-hunter-local'"):
        regions.get(project="gpu-hunter-local", region="us-east4")
    asked = {"permissions": ["compute.regions.get", "compute.regions.list"]}
    granted = call.well("POST", f"{PROJECT}:testIamPermissions", asked, account=HUNTER)
    assert granted == {"permissions": ["compute.regions.list"]}


def test_a_permission_that_was_needed_is_recorded_with_who_needed_it(call, endpoints, role):
    """Granted or not, by account; what was only asked about is not counted."""
    endpoints.cloud.uses.clear()
    call("GET", f"{PROJECT}/locations/-/clusters", account=HUNTER)
    call("GET", f"{PROJECT}/serviceAccounts", account=HUNTER)
    call("POST", f"{PROJECT}:testIamPermissions", {"permissions": ["compute.zones.list"]}, account=HUNTER)
    assert endpoints.cloud.uses == {
        Use(HUNTER, "container.clusters.list", granted=True): 1,
        Use(HUNTER, "iam.serviceAccounts.list", granted=False): 1,
    }


def test_a_refusal_can_be_read_by_a_program(call, role):
    """ErrorInfo names the permission and the resource, whatever the API's words are."""
    error = call("POST", f"{PROJECT}/serviceAccounts", {"accountId": "another"}, account=HUNTER).json()["error"]
    assert error["message"] == "Permission 'iam.serviceAccounts.create' denied on resource (or it may not exist)."
    (detail,) = error["details"]
    assert (detail["reason"], detail["metadata"]["permission"]) == (
        "IAM_PERMISSION_DENIED",
        "iam.serviceAccounts.create",
    )


def test_a_role_changes_what_its_accounts_may_do_at_once(call, role):
    """A PATCH of its permissions, under the etag that was read; an older etag is refused."""
    assert call("GET", f"{PROJECT}/serviceAccounts", account=HUNTER).status_code == 403
    wanted = {"includedPermissions": ["iam.serviceAccounts.list"], "etag": role["etag"]}
    changed = call.well("PATCH", f"{ROLE}?updateMask=includedPermissions", wanted)
    assert changed["title"] == "GPU Hunter"
    assert call("GET", f"{PROJECT}/serviceAccounts", account=HUNTER).status_code == 200
    assert call("GET", f"{PROJECT}/locations/-/clusters", account=HUNTER).status_code == 403
    assert call.refused("PATCH", ROLE, {"title": "Other", "etag": role["etag"]})[0] == "ABORTED"


def test_a_deleted_role_grants_nothing_keeps_its_name_and_can_come_back(call, role):
    """Google's soft deletion: shown as deleted, out of the list, not to be made again, undeleted with its rights."""
    assert call.well("DELETE", ROLE)["deleted"] is True
    assert call.well("GET", ROLE)["deleted"] is True
    assert "roles" not in call.well("GET", f"{PROJECT}/roles")
    assert [each["name"] for each in call.well("GET", f"{PROJECT}/roles?showDeleted=true")["roles"]] == [ROLE]
    assert call("GET", f"{PROJECT}/locations/-/clusters", account=HUNTER).status_code == 403
    status, text = call.refused("POST", f"{PROJECT}/roles", {"roleId": "gpuHunter", "role": {"title": "again"}})
    assert (status, text) == ("ALREADY_EXISTS", f"A role named gpuHunter in {PROJECT} already exists.")
    assert call.refused("PATCH", ROLE, {"title": "x"})[0] == "FAILED_PRECONDITION"
    assert call.refused("DELETE", ROLE)[0] == "FAILED_PRECONDITION"
    assert "deleted" not in call.well("POST", f"{ROLE}:undelete", {})
    assert call("GET", f"{PROJECT}/locations/-/clusters", account=HUNTER).status_code == 200


def test_a_role_with_a_permission_that_does_not_exist_is_refused(call):
    """So a slip of the pen in a role's file is found here."""
    body = {"roleId": "typo", "role": {"includedPermissions": ["compute.region.list"]}}
    assert call.refused("POST", f"{PROJECT}/roles", body) == (
        "INVALID_ARGUMENT",
        "Permission compute.region.list is not valid.",
    )


def test_what_a_role_may_hold_can_be_listed(call):
    """Gcloud looks before it makes one; page by page."""
    body = {"fullResourceName": f"//cloudresourcemanager.googleapis.com/{PROJECT}", "pageSize": 200}
    first = call.well("POST", "permissions:queryTestablePermissions", body)
    rest = call.well("POST", "permissions:queryTestablePermissions", {**body, "pageToken": first["nextPageToken"]})
    names = {each["name"] for answer in (first, rest) for each in answer["permissions"]}
    assert len(first["permissions"]) == 200
    assert {"compute.advice.capacity", "run.jobs.run"} <= names


def test_regions_are_listed_as_locations(call):
    """As every API that has locations lists them."""
    found = call.well("GET", f"{PROJECT}/locations")["locations"]
    assert {"name": f"{PROJECT}/locations/us-east4", "locationId": "us-east4", "displayName": "us-east4"} in found


def test_one_who_may_use_an_account_gets_tokens_as_that_account(call, role):
    """Only with the right on that very account; the token then has that account's rights."""
    path = f"projects/-/serviceAccounts/{HUNTER}:generateAccessToken"
    body = {"scope": ["https://www.googleapis.com/auth/cloud-platform"]}
    other = call.well("POST", f"{PROJECT}/serviceAccounts", {"accountId": "someone"})["email"]
    assert call.refused("POST", path, body, account=other)[0] == "PERMISSION_DENIED"
    one = f"{PROJECT}/serviceAccounts/{HUNTER}"
    call.bind("roles/iam.serviceAccountTokenCreator", f"serviceAccount:{other}", resource=one)
    token = call.well("POST", path, body, account=other)["accessToken"]
    assert call.endpoints.cloud.tokens.authenticate(token) == HUNTER
    assert call.refused("GET", one, account=other)[0] == "PERMISSION_DENIED"


def test_accounts_roles_and_policies_outlive_the_daemon(call, endpoints, role):
    """What they grant too."""
    state = endpoints.cloud.to_state()
    call.well("DELETE", ROLE)
    call.well("DELETE", f"{PROJECT}/serviceAccounts/{HUNTER}")
    endpoints.cloud.from_state(state)
    assert call("GET", f"{PROJECT}/locations/-/clusters", account=HUNTER).status_code == 200


def test_apis_are_switched_together_through_an_operation(call):
    """BatchEnable gives an operation that ends with the services; enabling what is enabled has nothing to do."""
    for api in ("run", "cloudscheduler"):
        call.well("POST", f"{PROJECT}/services/{api}.googleapis.com:disable", {})
    names = ["run.googleapis.com", "cloudscheduler.googleapis.com"]
    operation = call.well("POST", f"{PROJECT}/services:batchEnable", {"serviceIds": names})
    assert operation["name"].startswith("operations/acat.p2-")
    ended = call.well("GET", operation["name"])
    assert ended["done"] is True
    assert [(each["config"]["name"], each["state"]) for each in ended["response"]["services"]] == [
        (name, "ENABLED") for name in names
    ]
    again = call.well("POST", f"{PROJECT}/services:batchEnable", {"serviceIds": names})
    assert (again["name"], again["done"]) == ("operations/noop.DONE_OPERATION", True)


def test_an_api_that_another_needs_is_not_switched_off_alone(call):
    """Only with its dependants; enabling one of these brings it back."""
    path = f"{PROJECT}/services/compute.googleapis.com"
    status, text = call.refused("POST", f"{path}:disable", {})
    assert status == "FAILED_PRECONDITION"
    assert "depended on by the following active service(s): container.googleapis.com" in text
    call.well("POST", f"{path}:disable", {"disableDependentServices": True})
    assert call.well("GET", f"{PROJECT}/services/container.googleapis.com")["state"] == "DISABLED"
    call.well("POST", f"{PROJECT}/services/container.googleapis.com:enable", {})
    assert call.well("GET", path)["state"] == "ENABLED"


def test_an_addresss_labels_are_changed_under_their_fingerprint(call, endpoints):
    """As the published client changes them; 412 for a fingerprint that is not theirs any more."""
    client = endpoints.client(compute_v1.GlobalAddressesClient)
    wanted = compute_v1.Address(name="web", labels={"gpu-hunter": "bootstrap"})
    client.insert(project="gpu-hunter-local", address_resource=wanted).result(timeout=60)
    found = client.get(project="gpu-hunter-local", address="web")
    assert dict(found.labels) == {"gpu-hunter": "bootstrap"}
    change = compute_v1.GlobalSetLabelsRequest(label_fingerprint=found.label_fingerprint, labels={"team": "art"})
    client.set_labels(project="gpu-hunter-local", resource="web", global_set_labels_request_resource=change)
    assert dict(client.get(project="gpu-hunter-local", address="web").labels) == {"team": "art"}
    answer = requests.post(
        f"{endpoints.rest}/compute/v1/{PROJECT}/global/addresses/web/setLabels",
        json={"labels": {}, "labelFingerprint": found.label_fingerprint},
        headers={"Authorization": f"Bearer {endpoints.cloud.tokens.issue(call.owner)}"},
        timeout=60,
    )
    assert answer.status_code == 412


def test_who_administers_clusters_by_iam_need_not_ask_rbac(call, endpoints, role):
    """The owner does, a hunter does not, and a hunter who is given the container role does."""
    assert endpoints.cloud.administers(call.owner)
    assert not endpoints.cloud.administers(HUNTER)
    call.bind("roles/container.admin", f"serviceAccount:{HUNTER}")
    assert endpoints.cloud.administers(HUNTER)


def test_calls_at_once_are_each_their_own_callers(call, endpoints, role):
    """Two callers' requests that are answered side by side do not get each other's rights."""

    async def both():
        def get(account):
            return call("GET", f"{PROJECT}/serviceAccounts", account=account).status_code

        return await asyncio.gather(*(asyncio.to_thread(get, who) for who in [HUNTER, call.owner] * 8))

    assert asyncio.run(both()) == [403, 200] * 8
