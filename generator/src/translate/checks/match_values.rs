//! Checks the values in `matches` that Envoy would reject or never match (Gateway API: `HTTPPathMatch`, `HTTPHeaderMatch`,
//! `GRPCMethodMatch`).

use mooring_policy::name::{MAX_LENGTH, check_token};

use crate::{
    api::{field::Field, grpc::GrpcMethod, route as api},
    diagnostic::{Code, Diagnostic, Report},
    model::{
        path::is_path,
        route::{PathMatchType, RouteSpec, Rule},
    },
    resources::Item,
};

/// Reports the invalid matches of a rule.
pub fn check(route: &Item<RouteSpec>, rule: &Rule, report: &mut Report) {
    let invalid = |message: String, field: &Field<String>, report: &mut Report| {
        report.add(Diagnostic::error(Code::Invalid, message).at(route.location_of(field)));
    };
    for one in &rule.matches {
        let one = &one.value;
        if let Some(method) = &one.grpc
            && let Err((message, field)) = check_method(&method.value)
        {
            let location = field.map_or(route.location_of(method), |field| route.location_of(field));
            report.add(Diagnostic::error(Code::Invalid, message).at(location));
        }
        let path = one.path.as_ref().and_then(|path| path.value.as_ref());
        if let Some(path) = path
            && one.grpc.is_none()
            && one.path_type() != PathMatchType::RegularExpression
            && !is_path(&path.value)
        {
            let message = format!(
                "`{}` is not a valid path: a path begins with / and has no empty, `.` or `..` element, no query, no \
                 fragment and no escaped /",
                path.value
            );
            invalid(message, path, report);
        }
        for (kind, named) in [("header", &one.headers), ("query parameter", &one.query_params)] {
            for one in named.iter().filter(|one| check_token(&one.name.value).is_err()) {
                let message = format!(
                    "`{}` is not the name of a {kind}: 1 to {MAX_LENGTH} letters, digits and !#$%&'*+-.^_`|~ are",
                    one.name.value
                );
                invalid(message, &one.name, report);
            }
        }
    }
}

/// Checks a gRPC method match (CEL rules of `GRPCMethodMatch`). The error is a message and the invalid field.
fn check_method(method: &GrpcMethod) -> Result<(), (String, Option<&Field<String>>)> {
    if method.service.is_none() && method.method.is_none() {
        return Err((
            "one or both of 'service' or 'method' must be specified".to_owned(),
            None,
        ));
    }
    if method.kind == api::ValueMatchType::RegularExpression {
        return Ok(());
    }
    let parts = [("service", &method.service), ("method", &method.method)];
    for (what, field) in parts {
        let Some(field) = field else { continue };
        let name = field.value.strip_prefix('.').unwrap_or(&field.value);
        let sound = match what {
            "service" => name.split('.').all(is_identifier),
            _ => is_identifier(&field.value),
        };
        if !sound {
            let dots = if what == "service" { " between dots" } else { "" };
            let message = format!(
                "`{}` is not the name of a gRPC {what}: letters, digits and _ are allowed{dots}, not beginning with a digit",
                field.value
            );
            return Err((message, Some(field)));
        }
    }
    Ok(())
}

fn is_identifier(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with(|first: char| first.is_ascii_digit())
}
