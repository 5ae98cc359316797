"""A second embedder behind a real gateway: it serves more than the built-in one, and never stands in the way."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fake_upstream import HANG, FakeUpstream, Recorded, Reply, http_reply
from live_gateway import LiveGateway, running_gateway
from neuralrouting.cli import main
from tiny_onnx import tiny_model

QUESTION = "How do migrating birds find their way across the ocean?"
PARAPHRASE = "How do migrating birds find their route across the ocean?"
NO_LOCAL = 'local: {enabled: "off"}'
SETTINGS = {"SEMANTIC_CACHE_VERIFIER": "off", "CACHE_SIMILARITY_THRESHOLD": "0.995"}
"""Nothing that the built-in embedder could serve by itself: what is served is the second one's work."""


def same_direction(_asked: Recorded) -> Reply:
    """The simulated endpoint: every text means the same to it."""
    return http_reply(200, {"object": "list", "data": [{"index": 0, "embedding": [0.6, -0.8]}]})


def endpoint_settings(url: str, **more: str) -> dict[str, str]:
    return {
        "SEMANTIC_CACHE_EMBEDDER": "openai",
        "SEMANTIC_CACHE_URL": f"{url}/v1",
        "SEMANTIC_CACHE_MODEL": "simulated-embedder",
        **SETTINGS,
        **more,
    }


def ask(gateway: LiveGateway, text: str) -> tuple[str, dict[str, object]]:
    with gateway.client() as client:
        answer = client.post("/v1/dispatch", json={"model": "auto", "messages": [{"role": "user", "content": text}]})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-nr-cache"], answer.json()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[FakeUpstream]:
    with FakeUpstream(same_direction) as server:
        yield server


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory, endpoint: FakeUpstream) -> Iterator[LiveGateway]:
    """A gateway whose second embedder works."""
    folder = tmp_path_factory.mktemp("decided")
    with running_gateway(
        folder, config=NO_LOCAL, **endpoint_settings(endpoint.url, SEMANTIC_CACHE_TIMEOUT_MS="5000")
    ) as running:
        yield running


def test_a_paraphrase_is_served_where_the_second_embedder_says_so(decided: LiveGateway, endpoint: FakeUpstream):
    assert ask(decided, QUESTION)[0].startswith("miss")
    time.sleep(0.5)  # its question is embedded behind the answer
    told, body = ask(decided, PARAPHRASE)
    assert told.startswith("semantic; similarity=1.0")
    assert (body["cache_hit"], body["cache_exact"], body["cache_similarity"]) == (True, False, 1.0)
    assert [asked.json()["input"] for asked in endpoint.requests] == [QUESTION, PARAPHRASE]


def test_an_endpoint_that_hangs_or_is_gone_makes_a_miss_and_breaks_nothing(tmp_path: Path):
    endpoint = FakeUpstream([same_direction, Reply((HANG,))])
    with endpoint, running_gateway(tmp_path, config=NO_LOCAL, **endpoint_settings(endpoint.url)) as gateway:
        ask(gateway, QUESTION)
        time.sleep(0.5)
        started_s = time.monotonic()
        told, body = ask(gateway, PARAPHRASE)
        assert told == "miss; reason=undecided"
        assert body["output"]
        assert 0.09 < time.monotonic() - started_s < 5
        endpoint.accepting = False
        assert ask(gateway, PARAPHRASE.replace("route", "course"))[0] == "miss; reason=undecided"
        assert ask(gateway, QUESTION)[0].startswith("exact")


def test_a_model_on_this_machine_decides_as_well(tmp_path: Path):
    # To the model of six words all of these are the word that it knows.
    settings = {
        "SEMANTIC_CACHE_EMBEDDER": "onnx",
        "SEMANTIC_CACHE_MODEL_PATH": str(tiny_model(tmp_path / "six-words")),
        **SETTINGS,
    }
    with running_gateway(tmp_path / "data", config=NO_LOCAL, **settings) as gateway:
        assert ask(gateway, "Which paint looks most like a crimson evening sky?")[0].startswith("miss")
        time.sleep(0.5)
        told, _ = ask(gateway, "Which paint looks most like a red evening sky?")
        assert told.startswith("semantic; similarity=1.0")


def test_a_gateway_whose_model_is_missing_says_so_and_does_not_start(tmp_path: Path):
    settings = {"SEMANTIC_CACHE_EMBEDDER": "onnx", "SEMANTIC_CACHE_MODEL_PATH": str(tmp_path)}
    with (
        pytest.raises(AssertionError, match=r"holds none of model\.onnx"),
        running_gateway(tmp_path / "data", config=NO_LOCAL, **settings),
    ):
        pass


def test_the_check_of_the_configuration_names_the_embedder_or_says_what_it_lacks(tmp_path: Path):
    def check(folder: Path) -> Result:
        environ = {"SEMANTIC_CACHE_EMBEDDER": "onnx", "SEMANTIC_CACHE_MODEL_PATH": str(folder)}
        return CliRunner().invoke(main, ["config", "check"], env=environ)

    good, bad = check(tiny_model(tmp_path / "six-words")), check(tmp_path)
    assert good.exit_code == 0
    assert "embedder: onnx:six-words:" in good.stdout
    assert (bad.exit_code, bad.stdout) == (1, "")
    assert "holds none of model.onnx" in bad.stderr
