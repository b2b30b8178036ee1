"""A container's environment and volumes: references, the downward API, and what cannot be resolved."""

import base64
from pathlib import Path

import pytest

from controlplane.localcloud.kubelet.environment import ConfigError, container_environment, expand
from controlplane.localcloud.kubelet.images import Image, ImageMap, ImageMapError, parse_reference
from controlplane.localcloud.kubelet.quantities import parse_quantity, qos_class
from controlplane.localcloud.kubelet.volumes import mount_environment, mounts, prepare_volumes, real_path

POD = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u",
        "labels": {"app": "web"},
        "annotations": {"a/b": "c"},
    },
    "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "app"}]},
    "status": {"podIP": "127.9.1.1", "podIPs": [{"ip": "127.9.1.1"}], "hostIP": "127.9.255.2"},
}
STORE = {
    ("configmaps", "settings"): {"kind": "ConfigMap", "data": {"COLOUR": "blue", "size": "9"}},
    ("secrets", "keys"): {"kind": "Secret", "data": {"token": base64.b64encode(b"hush").decode()}},
}


def read(resource, name):
    return STORE.get((resource, name))


def environment(env=(), env_from=(), image_env=None, **container):
    body = {"name": "web", "env": list(env), "envFrom": list(env_from), **container}
    return container_environment(POD, body, image_env=image_env or {}, given={"HOST": "127.9.1.1"}, read=read)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        pytest.param("$(A)-$(B)", "1-2", id="known"),
        pytest.param("$(NONE)", "$(NONE)", id="unknown-stays"),
        pytest.param("$$(A)", "$(A)", id="escaped"),
        pytest.param("$A ${A}", "$A ${A}", id="the-shell's-own-stays"),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text, result):
    """Only $(NAME) of a known name is replaced; $$ is one dollar."""
    assert expand(text, {"A": "1", "B": "2"}) == result


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web-1"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['a/b']", "c"),
        ("spec.nodeName", "node-1"),
        ("status.podIP", "127.9.1.1"),
        ("status.podIPs", "127.9.1.1"),
        ("status.hostIP", "127.9.255.2"),
    ],
)
def test_the_downward_api_gives_fields_of_the_pod(path, value):
    """Each field path that Pods may ask for is known."""
    assert environment([{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}])["X"] == value


def test_later_values_refer_to_earlier_ones_and_win_over_the_image():
    """The env list wins over envFrom, that over the image, that over what the node gives."""
    values = environment(
        [{"name": "COLOUR", "value": "red"}, {"name": "SAY", "value": "$(COLOUR) at $(HOST)"}],
        [{"configMapRef": {"name": "settings"}}],
        image_env={"size": "1", "APP_VERSION": "7"},
    )
    assert (values["COLOUR"], values["size"], values["APP_VERSION"]) == ("red", "9", "7")
    assert values["SAY"] == "red at 127.9.1.1"


def test_secrets_are_decoded_and_prefixes_are_put_in_front():
    """SecretKeyRef and envFrom with a prefix."""
    ref = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}
    values = environment([ref], [{"prefix": "S_", "secretRef": {"name": "keys"}}])
    assert (values["TOKEN"], values["S_token"]) == ("hush", "hush")


@pytest.mark.parametrize(
    ("kind", "ref", "says"),
    [
        pytest.param("configMapKeyRef", {"name": "none", "key": "k"}, 'configmap "none" not found', id="no-map"),
        pytest.param(
            "configMapKeyRef", {"name": "settings", "key": "k"}, "couldn't find key k in ConfigMap", id="no-key"
        ),
        pytest.param("secretKeyRef", {"name": "none", "key": "k"}, 'secret "none" not found', id="no-secret"),
    ],
)
def test_what_is_missing_keeps_the_container_waiting_unless_it_is_optional(kind, ref, says):
    """A missing reference is an error; an optional one leaves the variable out."""
    with pytest.raises(ConfigError, match=says):
        environment([{"name": "X", "valueFrom": {kind: ref}}])
    assert "X" not in environment([{"name": "X", "valueFrom": {kind: {**ref, "optional": True}}}])


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [("limits.cpu", None, "2"), ("limits.cpu", "1m", "1500"), ("requests.memory", "1Mi", "512")],
)
def test_resource_fields_are_divided_and_rounded_up(resource, divisor, value):
    """ResourceFieldRef gives whole numbers."""
    ref = {"resource": resource} | ({"divisor": divisor} if divisor else {})
    values = environment(
        [{"name": "X", "valueFrom": {"resourceFieldRef": ref}}],
        resources={"limits": {"cpu": "1500m"}, "requests": {"memory": "512Mi"}},
    )
    assert values["X"] == value


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        pytest.param({}, "BestEffort", id="nothing"),
        pytest.param({"requests": {"cpu": "1"}}, "Burstable", id="only-cpu"),
        pytest.param({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed", id="limits-only"),
        pytest.param(
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}},
            "Guaranteed",
            id="equal",
        ),
        pytest.param({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}, "Burstable", id="less"),
        pytest.param({"limits": {"nvidia.com/gpu": "1"}}, "BestEffort", id="gpu-does-not-count"),
    ],
)
def test_the_quality_of_service_class(resources, expected):
    """By cpu and memory, requests against limits."""
    assert qos_class({"spec": {"containers": [{"resources": resources}]}}) == expected


def test_quantities_with_every_suffix():
    """Binary, decimal and small suffixes, and exponents."""
    values = [parse_quantity(text) for text in ("1", "250m", "2k", "1Ki", "1.5Gi", "1e3")]
    assert [float(v) for v in values] == [1, 0.25, 2000, 1024, 1.5 * 2**30, 1000]


def test_volumes_become_directories_with_their_files(tmp_path):
    """ConfigMaps, Secrets and the downward API are files; the container learns where from MOUNT_ variables."""
    volumes = [
        {"name": "conf", "configMap": {"name": "settings", "items": [{"key": "COLOUR", "path": "sub/colour.txt"}]}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "all", "projected": {"sources": [{"secret": {"name": "keys"}}, {"configMap": {"name": "settings"}}]}},
    ]
    prepare_volumes({**POD, "spec": {**POD["spec"], "volumes": volumes}}, tmp_path, read)
    assert (tmp_path / "conf/sub/colour.txt").read_text() == "blue"
    assert (tmp_path / "all/token").read_text() == "hush"
    assert list((tmp_path / "scratch").iterdir()) == []
    container = {"volumeMounts": [{"name": "conf", "mountPath": "/etc/app"}]}
    assert mount_environment(container, tmp_path) == {"MOUNT_CONF": str(tmp_path / "conf")}
    assert real_path("/etc/app/x", mounts(container, tmp_path)) == f"{tmp_path}/conf/x"
    assert real_path("/etc/apples", mounts(container, tmp_path)) == "/etc/apples"


def test_a_volume_cannot_write_outside_itself(tmp_path):
    """A path that leads out of the volume is refused and nothing is written."""
    volume = {"name": "v", "configMap": {"name": "settings", "items": [{"key": "COLOUR", "path": "../../evil"}]}}
    with pytest.raises(ConfigError, match="below the volume"):
        prepare_volumes({**POD, "spec": {"volumes": [volume]}}, tmp_path / "volumes", read)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("image", "name", "tag"),
    [
        ("busybox", "busybox", "latest"),
        ("docker.io/library/busybox:1.36", "busybox", "1.36"),
        ("localhost:5000/team/app:v2", "localhost:5000/team/app", "v2"),
        ("app@sha256:abc", "app", "@sha256:abc"),
        ("app:1@sha256:abc", "app", "1"),
    ],
)
def test_image_references(image, name, tag):
    """Registry ports are not tags; docker.io and library are implied."""
    assert (parse_reference(image).name, parse_reference(image).tag) == (name, tag)


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        pytest.param([], [], ["run", "serve"], id="image-alone"),
        pytest.param([], ["x"], ["run", "x"], id="args-replace-the-image's-command"),
        pytest.param(["sh"], [], ["sh"], id="command-replaces-both"),
        pytest.param(["sh"], ["-c"], ["sh", "-c"], id="both"),
    ],
)
def test_command_and_args_follow_the_table_of_kubernetes(command, args, argv):
    """`command` replaces the entry point, `args` the image's command."""
    assert Image(entrypoint=("run",), command=("serve",)).argv(command, args) == argv


def test_the_projects_own_image_map_knows_the_demo_app():
    """The demo app is found in any registry, with its tag as its version; a mistyped name is not."""
    images = ImageMap.load(pull_seconds=4)
    found = images.find("europe-docker.pkg.dev/p/gpu-hunter/demo-app:3")
    assert found.env == {"APP_VERSION": "3"}
    assert found.pull_seconds == 4
    assert images.find("busybox").pull_seconds == 0
    assert images.find("gpu-hunter/demo-ap:3") is None


def test_the_web_ui_is_run_from_the_projects_folder():
    """Its image is a Python module with one thread; the folder that PYTHONPATH names holds that module."""
    found = ImageMap.load().find("us-docker.pkg.dev/p/gpu-hunter/sd-webui:2")
    assert found.argv([], [])[1:] == ["-m", "webui_image", "serve"]
    assert (Path(found.env["PYTHONPATH"]) / "webui_image" / "__main__.py").exists()
    assert found.env["APP_VERSION"] == "2"
    assert found.env["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("app: {cmd: [x]}", "unknown key 'cmd'", id="unknown-key"),
        pytest.param("app: {command: x}", "app.command: must be a list", id="not-a-list"),
        pytest.param("app: {pull: -1}", "app.pull", id="negative"),
        pytest.param("- app", "must be a mapping", id="not-a-mapping"),
        pytest.param("a: [", "not YAML", id="not-yaml"),
    ],
)
def test_a_wrong_image_map_names_its_place(tmp_path, text, says):
    """File and key are in the message."""
    path = tmp_path / "images.yaml"
    path.write_text(text)
    with pytest.raises(ImageMapError, match=says):
        ImageMap.load(path)
