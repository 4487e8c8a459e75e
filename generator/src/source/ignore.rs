//! `--ignore`: globs for files and directories that are not read.

use std::{path::Path, str::FromStr};

use globset::{Error, GlobBuilder, GlobMatcher};

/// A glob. As in a `.gitignore`, a glob with a slash is matched against the whole path. A glob without one is matched
/// against the name of a file or directory at any depth.
#[derive(Clone, Debug)]
pub struct IgnoredGlob {
    matcher: GlobMatcher,
    whole: bool,
}

impl FromStr for IgnoredGlob {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.strip_prefix("./").unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let glob = GlobBuilder::new(text.strip_prefix('/').unwrap_or(text))
            .literal_separator(true)
            .build()?;
        Ok(Self {
            matcher: glob.compile_matcher(),
            whole: text.contains('/'),
        })
    }
}

impl IgnoredGlob {
    fn matches(&self, path: &Path) -> bool {
        if self.whole {
            return self.matcher.is_match(path.strip_prefix(".").unwrap_or(path));
        }
        path.file_name().is_some_and(|name| self.matcher.is_match(name))
    }
}

/// Whether one of the globs matches a path. The path is relative to the directory that is read, or is that of a file
/// named on the command line.
pub fn is_ignored(globs: &[IgnoredGlob], path: &Path) -> bool {
    globs.iter().any(|glob| glob.matches(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_ignored_everywhere_and_a_path_where_it_is() {
        let ignored = |glob: &str, path: &str| is_ignored(&[glob.parse().unwrap()], Path::new(path));
        for (glob, path) in [
            ("values*.yaml", "chart/values-prod.yaml"),
            ("charts", "deep/charts"),
            ("charts/", "charts"),
            ("/charts", "charts"),
            ("./charts", "charts"),
            ("charts/*/templates", "charts/shop/templates"),
            ("**/templates", "charts/shop/templates"),
            ("*.{yml,json}", "a.json"),
            ("chart/values.yaml", "./chart/values.yaml"),
        ] {
            assert!(ignored(glob, path), "{glob} {path}");
        }
        for (glob, path) in [
            ("values", "values.yaml"),
            ("/charts", "deep/charts"),
            ("charts/*", "charts/shop/templates"),
            ("shop/charts", "deep/shop/charts"),
        ] {
            assert!(!ignored(glob, path), "{glob} {path}");
        }
    }

    #[test]
    fn a_glob_that_is_none_is_refused() {
        assert!("charts/[a".parse::<IgnoredGlob>().is_err());
    }
}
