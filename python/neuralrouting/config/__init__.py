"""Every setting, typed and frozen, read once at start: flags over environment over file over defaults."""

from neuralrouting.config.environment import (
    ADMIN_EMAIL_VARIABLE,
    ADMIN_PASSWORD_VARIABLE,
    environment_names,
    near_misses,
)
from neuralrouting.config.load import Loaded, load, read
from neuralrouting.config.providers import (
    BUILT_IN_PROVIDERS,
    ProviderEndpoint,
    is_loopback,
    provider_rows,
    resolved_providers,
)
from neuralrouting.config.secret import Secret
from neuralrouting.config.settings import (
    BillingConfig,
    CacheConfig,
    ConfidenceConfig,
    Config,
    DashboardConfig,
    LocalConfig,
    ModelConfig,
    OidcConfig,
    ProviderConfig,
    RoutingConfig,
    SemanticCacheConfig,
    ServerConfig,
    ShadowConfig,
    ShieldConfig,
    SimulatedConfig,
    TelemetryConfig,
    UpstreamConfig,
)

__all__ = [
    "ADMIN_EMAIL_VARIABLE",
    "ADMIN_PASSWORD_VARIABLE",
    "BUILT_IN_PROVIDERS",
    "BillingConfig",
    "CacheConfig",
    "ConfidenceConfig",
    "Config",
    "DashboardConfig",
    "Loaded",
    "LocalConfig",
    "ModelConfig",
    "OidcConfig",
    "ProviderConfig",
    "ProviderEndpoint",
    "RoutingConfig",
    "Secret",
    "SemanticCacheConfig",
    "ServerConfig",
    "ShadowConfig",
    "ShieldConfig",
    "SimulatedConfig",
    "TelemetryConfig",
    "UpstreamConfig",
    "environment_names",
    "is_loopback",
    "load",
    "near_misses",
    "provider_rows",
    "read",
    "resolved_providers",
]
