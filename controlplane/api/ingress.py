"""How the world reaches a GPUService: the wiring, its address, and what secures it."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictStr, field_validator, model_validator

from controlplane.api.durations import Duration
from controlplane.api.sections import Strict

_RESOURCE_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
_ResourceName = Annotated[StrictStr, Field(max_length=63, pattern=_RESOURCE_NAME)]


class HttpsSpec(Strict):
    """How the address speaks HTTPS. Certificates are the project's; no key ever passes through here."""

    certificates: list[_ResourceName] = Field(
        default_factory=list,
        max_length=15,
        description="Names of SSL certificates of the project (`gcloud compute ssl-certificates list`), the default "
        "one first.",
    )
    certificate_map: _ResourceName | None = Field(
        default=None,
        description="Name of a certificate map of Certificate Manager, for MultiClusterGateway, in place of these.",
    )
    ssl_policy: _ResourceName | None = Field(
        default=None, description="Name of an SSL policy of the project, which says what TLS is spoken."
    )
    redirect: StrictBool = Field(default=True, description="Send who comes by HTTP to HTTPS.")

    @field_validator("certificates")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        if double := next((name for name in value if value.count(name) > 1), None):
            raise ValueError(f'"{double}" is named twice; keep one of them')
        return value

    @model_validator(mode="after")
    def _some(self) -> "HttpsSpec":
        if not self.certificates and not self.certificate_map:
            raise ValueError("no certificate is named; name at least one in certificates")
        return self


class IapSpec(Strict):
    """Identity-Aware Proxy: only people and accounts that the project lets in reach the app."""

    oauth_secret: StrictStr = Field(
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Name of the Secret in the config cluster, in the service's namespace, that holds the OAuth "
        "client: client_id and client_secret for MultiClusterIngress, key (the secret) for MultiClusterGateway.",
    )
    client_id: StrictStr | None = Field(
        default=None,
        max_length=256,
        pattern=r"^[!-~]+$",
        description="Id of the OAuth client, for MultiClusterGateway. It is no secret.",
    )


class IngressSpec(Strict):
    """How the world reaches the service."""

    kind: Literal["MultiClusterIngress", "MultiClusterGateway"] = Field(
        default="MultiClusterIngress",
        description="What wires the regions into one address. When it is changed, the new wiring serves before the "
        "old one is taken down.",
    )
    static_address: StrictStr | None = Field(
        default=None,
        min_length=1,
        description="Reserved global IP address (the address itself, not its name), for MultiClusterIngress.",
    )
    static_address_name: StrictStr | None = Field(
        default=None,
        max_length=63,
        pattern=_RESOURCE_NAME,
        description="Name of a reserved global IP address, for MultiClusterGateway; another one than staticAddress.",
    )
    host: StrictStr | None = Field(
        default=None,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Host name served. A MultiClusterGateway then answers 404 to other hosts.",
    )
    health_path: StrictStr = Field(
        default="/", pattern=r"^/", max_length=1024, description="Asked by the load balancer."
    )
    timeout: Duration = Field(
        default=timedelta(minutes=5), description="Longest request; longer than the longest render."
    )
    draining: Duration = Field(
        default=timedelta(minutes=5), description="Time that requests get when a region is left."
    )
    check_interval: Duration = Field(default=timedelta(seconds=15), description="How often the load balancer asks.")
    https: HttpsSpec | None = Field(default=None, description="Leave out to speak HTTP alone.")
    security_policy: _ResourceName | None = Field(
        default=None, description="Name of a Cloud Armor security policy of the project that guards the app."
    )
    iap: IapSpec | None = Field(default=None, description="Leave out to let everybody in.")

    @model_validator(mode="after")
    def _reserved_as_its_kind_takes_it(self) -> "IngressSpec":
        gateway = self.kind == "MultiClusterGateway"
        if gateway and self.static_address and not self.static_address_name:
            raise ValueError(
                "staticAddress is for MultiClusterIngress; a MultiClusterGateway takes the name of a reserved address "
                "of its own: set staticAddressName as well"
            )
        if not gateway and self.static_address_name and not self.static_address:
            raise ValueError(
                "staticAddressName is for MultiClusterGateway; a MultiClusterIngress takes a reserved address itself: "
                "set staticAddress as well"
            )
        return self

    @model_validator(mode="after")
    def _secured_as_its_kind_takes_it(self) -> "IngressSpec":
        gateway = self.kind == "MultiClusterGateway"
        if self.iap is not None and self.https is None:
            raise ValueError("iap works over HTTPS alone; set https as well")
        if self.https is not None and not gateway:
            if not self.static_address:
                raise ValueError(
                    "https of a MultiClusterIngress needs a reserved address; reserve one "
                    "(`gcloud compute addresses create NAME --global`) and set staticAddress"
                )
            if not self.https.certificates:
                raise ValueError(
                    "https.certificateMap is for MultiClusterGateway; a MultiClusterIngress takes SSL certificates: "
                    "name at least one in https.certificates"
                )
        if self.iap is not None and gateway and not self.iap.client_id:
            raise ValueError(
                "iap of a MultiClusterGateway needs the id of the OAuth client beside its secret; set iap.clientId"
            )
        return self
