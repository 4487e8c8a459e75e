//! An object of a kind that Mooring reads, as the type of that kind.

use serde::{Deserialize, de};

use crate::{
    api::{
        canary, gateway, grant, grpc, ingress, istio,
        object::{Metadata, Object},
        policy, route, service, virtual_service,
    },
    kind::{Kind, for_each_kind},
};

macro_rules! parsed {
    ($($kind:ident, $name:literal, $group:expr, $versions:expr, $scope:ident, $type:ty;)*) => {
        /// An object of a kind that Mooring reads.
        #[derive(Debug)]
        pub enum Parsed {
            $(#[doc = concat!("A `", $name, "`.")] $kind($type),)*
        }

        impl Parsed {
            /// Its kind.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// Its `metadata`.
            pub(crate) fn metadata(&self) -> &Metadata {
                match self {
                    $(Self::$kind(object) => &object.metadata,)*
                }
            }

            /// Parses an object of this kind.
            pub(super) fn deserialize<'de, D: de::Deserializer<'de>>(
                kind: Kind,
                deserializer: D,
            ) -> Result<Self, D::Error> {
                Ok(match kind {
                    $(Kind::$kind => Self::$kind(Deserialize::deserialize(deserializer)?),)*
                })
            }
        }
    };
}

for_each_kind!(parsed);

impl Parsed {
    /// Whether it is a session route that an earlier run generated. Such a route is not input.
    pub(super) fn is_generated(&self) -> bool {
        matches!(self, Self::HttpRoute(_) | Self::GrpcRoute(_)) && self.metadata().is_generated()
    }
}
