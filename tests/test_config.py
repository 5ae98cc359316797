"""Configuration: where settings come from, how mistakes are told, where we dial, what stays secret."""

import json
import pickle
import re
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.config import (
    BUILT_IN_PROVIDERS,
    Config,
    DashboardConfig,
    ModelConfig,
    OidcConfig,
    ProviderConfig,
    Secret,
    ShieldConfig,
    environment_names,
    load,
    near_misses,
    read,
    resolved_providers,
)
from neuralrouting.errors import ConfigError

DOCS = Path(__file__).parent.parent / "docs" / "configuration.md"
HOME = {"HOME": "/home/someone"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str, name: str = "neuralrouting.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_without_a_file_the_defaults_hold(folder: Path):
    config = load(None, HOME)
    assert (config.server.port, config.cache.ttl_days) == (8080, 7.0)
    assert config.data_dir == "/home/someone/.local/share/neuralrouting"


def test_the_data_folder_follows_xdg(folder: Path):
    assert load(None, HOME | {"XDG_DATA_HOME": "/srv/data"}).data_dir == "/srv/data/neuralrouting"


def test_flags_win_over_environment_over_file_over_defaults(folder: Path):
    write(folder, "server: {port: 1000, workers: 3, host: 10.0.0.1}")
    config = load(None, {"SERVER_PORT": "2000", "SERVER_WORKERS": "4"}, {"server": {"port": 3000, "host": None}})
    assert (config.server.port, config.server.workers, config.server.host) == (3000, 4, "10.0.0.1")


def test_the_named_file_wins_over_the_variable_over_the_one_in_the_folder(folder: Path):
    write(folder, "server: {port: 1}")
    other = write(folder, "server: {port: 2}", "other.yaml")
    third = write(folder, "server: {port: 3}", "third.yaml")
    environ = {"NEURALROUTING_CONFIG": str(other)}
    assert load(None, {}).server.port == 1
    assert load(None, environ).server.port == 2
    assert load(third, environ).server.port == 3


def test_the_variables_people_use_are_read(folder: Path):
    config = load(
        None,
        {
            "CACHE_TTL_DAYS": "0.5",
            "STORE_BODIES": "1",
            "DATABASE_URL": "postgresql://u@h/d",
            "LOCAL_MODEL_PATH": "/m.gguf",
            "SIMULATED_ENABLED": "off",
            "DATA_DIR": "/var/lib/nr",
        },
    )
    assert config.cache.ttl_days == 0.5
    assert config.store_bodies
    assert config.database_url == "postgresql://u@h/d"
    assert config.local.model_path == "/m.gguf"
    assert config.simulated.enabled == "off"
    assert config.data_dir == "/var/lib/nr"


def test_the_shield_is_set_like_everything_else(folder: Path):
    home = str(Path.home() / "rules.toml")
    given = {"SHIELD_MODE": "monitor", "SHIELD_BLOCK_THRESHOLD": "0.7", "SHIELD_RULES_PATH": "~/rules.toml"}
    shield = load(None, given | {"SHIELD_MODEL": "false", "SHIELD_ON_ERROR": "open"}).shield
    assert (shield.mode, shield.block_threshold, shield.rules_path) == ("monitor", 0.7, home)
    assert (shield.model, shield.on_error) == (False, "open")
    write(folder, "shield: {mode: 'off', tool_action: block, store_excerpts: false}")
    assert load(None, {}).shield == ShieldConfig(mode="off", tool_action="block", store_excerpts=False)


def test_the_dashboard_is_set_like_everything_else(folder: Path):
    given = {"DASHBOARD_SECURE": "on", "DASHBOARD_TRUST_FORWARDED": "true", "DASHBOARD_SESSION_DAYS": "1"}
    given |= {"DASHBOARD_OIDC_ISSUER": "https://id.example.com/", "DASHBOARD_OIDC_CLIENT_ID": "nr"}
    write(folder, "dashboard: {hosts: [nr.example.com], oidc: {client_secret: hush, roles: {staff: viewer}}}")
    config = load(None, given)
    dashboard, oidc = config.dashboard, config.dashboard.oidc
    assert (dashboard.secure, dashboard.trust_forwarded, dashboard.session_days) == ("on", True, 1.0)
    assert (dashboard.hosts, oidc.issuer, oidc.roles) == (("nr.example.com",), "https://id.example.com", STAFF)
    assert oidc.client_secret == Secret("hush")
    assert "hush" not in repr(config)


STAFF = {"staff": "viewer"}


@pytest.mark.parametrize(
    ("oidc", "told"),
    [
        ("{issuer: 'http://id.example.com', client_id: a, roles: {b: viewer}}", "dashboard.oidc.issuer: http sends"),
        ("{issuer: 'https://id.example.com', roles: {b: viewer}}", "dashboard.oidc.client_id"),
        ("{issuer: 'https://id.example.com', client_id: a}", "dashboard.oidc.roles"),
        ("{issuer: 'https://id.example.com', client_id: a, roles: {b: king}}", "dashboard.oidc.roles"),
    ],
)
def test_what_an_identity_provider_lacks_is_told(folder: Path, oidc: str, told: str):
    write(folder, f"dashboard: {{oidc: {oidc}}}")
    with pytest.raises(ConfigError, match=re.escape(told)):
        load(None, {})


def test_an_empty_variable_counts_as_unset(folder: Path):
    assert load(None, {"DATABASE_URL": "", "SERVER_PORT": " "}) == load(None, {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cache: {ttl_day: 3}", "cache.ttl_day: unknown setting (did you mean 'ttl_days'?)"),
        ("servr: {}", "servr: unknown setting (did you mean 'server'?)"),
        ("providers: {x: {base_ulr: a}}", "providers.x.base_ulr: unknown setting (did you mean 'base_url'?)"),
        (
            "models: [{model: a, provider: openai, tool: true}]",
            "models[0].tool: unknown setting (did you mean 'tools'?)",
        ),
        ("server: {port: '80'}", "server.port: expected `int`, got `str`"),
        ("server: {port: 70000}", "server.port: expected `int` <= 65535"),
        ("providers: {openai: {api_key: 5}}", "providers.openai.api_key: expected `str`, got `int`"),
        ("- 1", "the top level must be a mapping"),
        ("server: {port: 1, port: 2}", "'port' stands twice"),
        ("a: [", "not YAML"),
        ("models: [{model: a, provider: nobody}]", "models[0].provider: no provider 'nobody'"),
        (
            "models: [{model: a, provider: openai, input_usd_per_mtok: 2.5}]",
            "models[0].input_usd_per_mtok: expected `str | null`, got `float`; put it in quotes",
        ),
        ("providers: {local: {base_url: 'http://localhost'}}", "providers.local: a name of"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_file_and_place(folder: Path, text: str, told: str):
    file = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load(None, {})
    assert told in caught.value.message
    assert file.name in caught.value.message


def test_a_missing_file_is_told(folder: Path):
    with pytest.raises(ConfigError, match="no such configuration file"):
        load(folder / "nowhere.yaml", {})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SERVER_PORT", "http", "SERVER_PORT: expected `int`, got 'http'"),
        ("CACHE_TTL_DAYS", "-1", "CACHE_TTL_DAYS: expected `float` > 0"),
        ("STORE_BODIES", "maybe", "STORE_BODIES: expected `bool`, got 'maybe'; write true or false"),
        ("LOCAL_ENABLED", "yes", "one of auto, on, off"),
        ("SHIELD_MODE", "loud", "one of off, monitor, block"),
        ("SHIELD_BLOCK_THRESHOLD", "0.4", "SHIELD_BLOCK_THRESHOLD: expected `float` >= 0.5"),
    ],
)
def test_a_wrong_value_in_the_environment_names_the_variable(folder: Path, name: str, value: str, told: str):
    with pytest.raises(ConfigError) as caught:
        load(None, {name: value})
    assert told in caught.value.message


def test_every_setting_has_one_environment_name(folder: Path):
    names = environment_names()
    assert names["LOG_LEVEL"] == ("log_level",)
    assert names["PROVIDERS_OPENAI_BASE_URL"] == ("providers", "openai", "base_url")
    assert len(set(names.values())) == len(names)


def test_a_slip_in_a_variable_is_a_warning_and_nothing_else_is():
    environ = {"CACHE_TTL_DAY": "1", "OPENAI_KEY": "x", "PATH": "/bin", "HOSTNAME": "h", "CACHE_TTL_DAYS": "1"}
    warnings = near_misses(environ, Config())
    assert [w.split()[0] for w in warnings] == ["CACHE_TTL_DAY", "OPENAI_KEY"]
    assert "CACHE_TTL_DAYS" in warnings[0]


def test_a_configured_provider_keeps_what_its_built_in_row_says(folder: Path):
    write(folder, "providers: {anthropic: {base_url: 'https://proxy.example.com'}, ollama: }")
    config = load(None, {"PROVIDERS_GROQ_BASE_URL": "https://groq.example.com/v1"})
    assert config.providers["anthropic"].kind == "anthropic"
    assert config.providers["anthropic"].api_key_env == "ANTHROPIC_API_KEY"
    assert config.providers["groq"].base_url == "https://groq.example.com/v1"
    found = resolved_providers(config, {"ANTHROPIC_API_KEY": " sk-ant \n"})
    assert set(found) == {"anthropic", "ollama"}
    assert found["anthropic"].api_key == Secret("sk-ant")


def test_providers_are_reached_by_their_usual_keys():
    environ = {row.api_key_env: "k" for row in BUILT_IN_PROVIDERS.values() if row.api_key_env}
    found = resolved_providers(Config(), environ)
    assert set(found) == set(BUILT_IN_PROVIDERS) - {"ollama", "vllm"}
    assert found["mistral"].rename == (("max_completion_tokens", "max_tokens"), ("seed", "random_seed"))
    assert resolved_providers(Config(), {}) == {}


@pytest.mark.parametrize("reference", ["${TEAM_KEY}", "os.environ/TEAM_KEY"])
def test_a_key_may_be_read_from_another_variable(folder: Path, reference: str):
    write(folder, f"providers: {{openai: {{api_key: '{reference}'}}}}")
    config = load(None, {})
    assert resolved_providers(config, {"OPENAI_API_KEY": "no"}) == {}
    key = resolved_providers(config, {"TEAM_KEY": "team"})["openai"].api_key
    assert key is not None
    assert key.reveal() == "team"


def test_a_key_that_no_header_can_carry_is_refused():
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        resolved_providers(Config(), {"OPENAI_API_KEY": "sk-1\r\nx-evil: 1"})


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "http://127.0.0.1:9/v1",
        "http://[::1]/v1",
        "http://localhost:1",
        "http://a.localhost/",
    ],
)
def test_https_and_this_machine_are_dialled(url: str):
    config = Config(providers={"mine": ProviderConfig(base_url=url)})
    assert resolved_providers(config, {})["mine"].base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/v1", "http://example.com", "http://127.0.0.1.evil.com", "http://localhost.evil.com",
        "https://good@evil.com", "https://user:pass@evil.com", "https://good\\@evil.com", "https://e.com/?a=1",
        "https://e.com/#x", "https://e.com/v1#", "ftp://e.com", "e.com/v1", "https://", "https://e.com:99999",
        "https://evil\uff0ecom", "https://e.com/a b", "https://e.com:0", "", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_no_other_url_is_dialled(url: str):
    with pytest.raises(ConfigError, match=r"providers\.mine\.base_url"):
        resolved_providers(Config(providers={"mine": ProviderConfig(base_url=url)}), {})


def test_a_private_network_is_dialled_when_allowed():
    row = ProviderConfig(base_url="http://10.0.0.1/v1", allow_private=True)
    assert "mine" in resolved_providers(Config(providers={"mine": row}), {})


@given(st.text(max_size=60))
def test_any_text_as_url_is_dialled_or_told(url: str):
    config = Config(providers={"mine": ProviderConfig(base_url=url)})
    try:
        found = resolved_providers(config, {})["mine"].base_url
    except ConfigError:
        return
    assert found.isascii()
    assert "@" not in found.split("/")[2]


def test_a_key_shows_itself_to_nobody(folder: Path):
    write(folder, "providers: {openai: {api_key: sk-CANARY}}")
    config = load(None, {"DATABASE_URL": "postgresql://u:CANARY@h/d"})
    endpoint = resolved_providers(config, {})["openai"]
    shown = [f"{config!r} {config} {endpoint!r}", f"{endpoint.api_key} {endpoint.api_key!r} {endpoint.api_key:}"]
    assert not any("CANARY" in text for text in shown)
    assert "***@h" in repr(config)
    with pytest.raises(TypeError):
        pickle.dumps(endpoint.api_key)
    with pytest.raises(TypeError):
        msgspec.json.encode(endpoint)


def test_the_documentation_names_every_setting_with_variable_and_default():
    text = DOCS.read_text()
    for name, path in environment_names([]).items():
        value: object = Config()
        for part in path:
            value = getattr(value, part)
        plain = isinstance(value, bool) or value == ""
        shown = "none" if value is None else f"`{json.dumps(value) if plain else value}`"
        cells = f"| `{'.'.join(path)}` | `{name}` | " + ("" if name == "DATA_DIR" else f"{shown} |")
        assert cells in text
    for section, kind in (("dashboard", DashboardConfig), ("dashboard.oidc", OidcConfig)):
        for field in kind.__struct_fields__:
            assert f"| `{section}.{field}` |" in text or f"| `{section}.{field}." in text
    for field in (*ProviderConfig.__struct_fields__, *ModelConfig.__struct_fields__):
        assert re.search(rf"^\| `{field}` \|", text, re.MULTILINE), field
    for name, row in BUILT_IN_PROVIDERS.items():
        assert f"| `{name}` | " + (f"`{row.api_key_env}` |" if row.api_key_env else "none") in text


def test_the_sample_in_the_documentation_loads(folder: Path):
    sample = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(sample) == 1
    loaded = read(write(folder, sample[0]), {"TEAM_GROQ_KEY": "k", "OPENAI_API_KEY": "k"})
    assert set(resolved_providers(loaded.config, {"TEAM_GROQ_KEY": "k"})) == {"groq", "house"}
    assert loaded.config.models[0].aliases == ("house-large",)
    assert set(yaml.safe_load(sample[0])) == {"server", "cache", "routing", "providers", "models"}
