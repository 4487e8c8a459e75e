//! The flags about the status of policies.

use clap::Args;

/// The name by which the controller knows its own entries.
pub const CONTROLLER_NAME: &str = "mooring.dev/controller";

/// The flags about the status of policies.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct Options {
    /// The controllerName in the status of policies. Two controllers in a cluster need different names
    #[arg(long, value_name = "DOMAIN/PATH", default_value = CONTROLLER_NAME, value_parser = controller_name)]
    pub controller_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controller_name: CONTROLLER_NAME.to_owned(),
        }
    }
}

/// The longest name that the API server accepts.
const MAX_LENGTH: usize = 253;

fn controller_name(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "expected a domain and a path, such as mooring.dev/controller";
    let (domain, path) = text.split_once('/').ok_or(WRONG)?;
    let is_path = !path.is_empty()
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte));
    if text.len() > MAX_LENGTH || !mooring_generator::dns::is_name(domain) || !is_path {
        return Err(WRONG);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_the_api_server_accepts() {
        for name in [CONTROLLER_NAME, "example.com/a/b", "example/x~1"] {
            assert_eq!(controller_name(name), Ok(name.to_owned()));
        }
        for name in [
            "mooring",
            "/controller",
            "mooring.dev/",
            "Mooring.dev/x",
            "mooring.dev/a b",
            "mooring.dev/ä",
        ] {
            assert!(controller_name(name).is_err(), "{name}");
        }
    }
}
