//! An object of one of the kinds that are read, in its API type.

use serde::{Deserialize, de};

use crate::{
    api::{
        canary, gateway, grant, grpc, istio,
        object::{Metadata, Object},
        policy, route, service, virtual_service,
    },
    kind::{Kind, for_each_kind},
};

macro_rules! parsed {
    ($($kind:ident, $name:literal, $group:expr, $versions:expr, $scope:ident, $type:ty;)*) => {
        /// An object of a kind that is read.
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
            pub(super) fn metadata(&self) -> &Metadata {
                match self {
                    $(Self::$kind(object) => &object.metadata,)*
                }
            }

            /// Reads an object of this kind.
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
    /// Whether it is a session route of an earlier run, which is not input.
    pub(super) fn is_generated(&self) -> bool {
        matches!(self, Self::HttpRoute(_) | Self::GrpcRoute(_)) && self.metadata().is_generated()
    }
}
