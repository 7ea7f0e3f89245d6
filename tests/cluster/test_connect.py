import pytest

from cluster.connect import ClusterError, Connection, connect, disconnect, wanted_address


@pytest.mark.parametrize(("variable", "address"), [("", None), ("local", None), ("auto", "auto"), ("10.0.0.1:6379", "10.0.0.1:6379")])
def test_the_environment_names_the_cluster(monkeypatch: pytest.MonkeyPatch, variable: str, address: str | None) -> None:
    monkeypatch.setenv("RAY_ADDRESS", variable)
    assert wanted_address() == address


def test_ray_client_is_refused_with_the_way_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(ClusterError, match="ray job submit"):
        wanted_address()


def test_a_place_is_described_in_a_phrase() -> None:
    assert Connection(address="a:1", local=True, nodes=1, cpus=2.0, gpus=0.0).describe() == "this machine, 2 CPUs"
    assert Connection(address="a:1", local=False, nodes=3, cpus=24.0, gpus=8.0).describe() == "cluster at a:1 (3 nodes), 24 CPUs, 8 GPUs"


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(ClusterError, match=r"RAY_ADDRESS=127\.0\.0\.1:9.*\n.*Unset RAY_ADDRESS"):
        connect()


@pytest.mark.ray
def test_without_an_address_a_ray_of_our_own_starts_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    try:
        connection = connect(num_cpus=1, num_gpus=0)
        assert connection.local and connection.cpus == 1.0 and connection.nodes == 1
        assert connect(num_cpus=1) == connection
    finally:
        disconnect()
    assert not ray.is_initialized()


def test_a_ray_that_does_not_start_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def busy(**_: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", busy)
    with pytest.raises(ClusterError, match=r"Ray did not start on this machine \(The current node timed out(.|\n)*again(.|\n)*--inline"):
        connect()
