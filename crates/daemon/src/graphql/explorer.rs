//! The explorer: a page to write queries on, for a browser that comes to `/graphql` of `actum dev`. It is made of
//! three files of our own and loads nothing from anywhere else.

use crate::transport::graphql::common_headers;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

const PAGE: &str = include_str!("../../assets/graphql/explorer.html");
const SCRIPT: &str = include_str!("../../assets/graphql/explorer.js");
const STYLE: &str = include_str!("../../assets/graphql/explorer.css");

/// Nothing but our own script and style, and requests to the daemon itself; in no frame of any page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page.
pub(super) fn page() -> Response {
    let mut headers = common_headers(HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    (headers, PAGE).into_response()
}

/// Its script.
pub(crate) async fn script() -> Response {
    let headers = common_headers(HeaderValue::from_static("text/javascript; charset=utf-8"));
    (headers, SCRIPT).into_response()
}

/// Its style.
pub(crate) async fn style() -> Response {
    let headers = common_headers(HeaderValue::from_static("text/css; charset=utf-8"));
    (headers, STYLE).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_within_its_own_policy() {
        for text in [PAGE, SCRIPT, STYLE] {
            for foreign in ["http://", "https://", "eval(", "new Function", "innerHTML"] {
                assert!(!text.contains(foreign), "{foreign}");
            }
        }
        for inline in ["<style", " style=", " onclick=", "<script>"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
    }
}
