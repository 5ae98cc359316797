"""Every setting, typed and frozen, read once at start: flags over environment over file over defaults."""

from neuralrouting.config.environment import environment_names, near_misses
from neuralrouting.config.load import Loaded, load, read
from neuralrouting.config.providers import (
    BUILT_IN_PROVIDERS,
    ProviderEndpoint,
    provider_rows,
    resolved_providers,
)
from neuralrouting.config.secret import Secret
from neuralrouting.config.settings import (
    BillingConfig,
    CacheConfig,
    ConfidenceConfig,
    Config,
    LocalConfig,
    ModelConfig,
    ProviderConfig,
    RoutingConfig,
    SemanticCacheConfig,
    ServerConfig,
    ShadowConfig,
    ShieldConfig,
    SimulatedConfig,
    UpstreamConfig,
)

__all__ = [
    "BUILT_IN_PROVIDERS",
    "BillingConfig",
    "CacheConfig",
    "ConfidenceConfig",
    "Config",
    "Loaded",
    "LocalConfig",
    "ModelConfig",
    "ProviderConfig",
    "ProviderEndpoint",
    "RoutingConfig",
    "Secret",
    "SemanticCacheConfig",
    "ServerConfig",
    "ShadowConfig",
    "ShieldConfig",
    "SimulatedConfig",
    "UpstreamConfig",
    "environment_names",
    "load",
    "near_misses",
    "provider_rows",
    "read",
    "resolved_providers",
]
