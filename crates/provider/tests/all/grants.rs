//! Grants: what the short texts mean, what is no grant, and that nothing is allowed by default.

use actum_model::ErrorCode;
use actum_provider::Grants;
use actum_provider::grants::{FileGrant, HostGrant, Scheme, normal_host};
use proptest::prelude::*;

fn hosts(texts: &[&str]) -> Grants {
    let mut grants = Grants::default();
    for text in texts {
        grants.allow_host(text).unwrap();
    }
    grants
}

fn code(grants: &Grants, host: &str, port: u16, scheme: Scheme, method: &str) -> Option<ErrorCode> {
    grants
        .check_host(host, port, scheme, method)
        .err()
        .map(|fault| fault.code)
}

#[test]
fn nothing_is_granted_by_default() {
    let grants = Grants::default();
    assert_eq!(
        code(&grants, "example.com", 443, Scheme::Https, "GET"),
        Some(ErrorCode::NotGranted)
    );
    assert_eq!(grants.check_env("PATH").unwrap_err().code, ErrorCode::NotGranted);
    assert!(grants.files.is_empty());
}

#[test]
fn programs_are_only_bounded_once_one_is_named() {
    let mut grants = Grants::default();
    assert!(grants.check_program("sh").is_ok());
    grants.allow_program("git").unwrap();
    assert!(grants.check_program("git").is_ok());
    for other in ["sh", "/tmp/git", "./git", ""] {
        assert_eq!(
            grants.check_program(other).unwrap_err().code,
            ErrorCode::NotGranted
        );
    }
    assert!(grants.allow_program("./git").is_err());
}

#[test]
fn a_folder_is_read_only_unless_it_says_otherwise() {
    for (text, means) in [
        ("/a", "/a:ro"),
        ("/a/", "/a:ro"),
        ("/a//./b:rw", "/a/b:rw"),
        ("/a:b/c", "/a:b/c:ro"),
        ("/", "/:ro"),
        ("/a b:ro", "/a b:ro"),
    ] {
        assert_eq!(text.parse::<FileGrant>().unwrap().to_string(), means);
    }
}

#[test]
fn what_is_no_folder_is_refused_with_what_was_expected() {
    for (text, says) in [
        ("a", "expected an absolute path"),
        ("", "expected an absolute path"),
        (":rw", "expected an absolute path"),
        ("/a/../b", "expected a path without `..`"),
        ("/a:rx", "expected `ro` or `rw` behind the last colon"),
        ("/a:", "expected `ro` or `rw` behind the last colon"),
        ("/a\0", "without NUL"),
    ] {
        let error = text.parse::<FileGrant>().unwrap_err().to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    }
}

#[test]
fn a_host_is_granted_with_its_usual_ports_unless_it_names_one() {
    let grants = hosts(&["api.example.com"]);
    assert_eq!(code(&grants, "api.example.com", 443, Scheme::Https, "GET"), None);
    assert_eq!(code(&grants, "api.example.com", 80, Scheme::Http, "POST"), None);
    let refused = Some(ErrorCode::HostRefused);
    assert_eq!(
        code(&grants, "api.example.com", 443, Scheme::Http, "GET"),
        refused
    );
    assert_eq!(
        code(&grants, "api.example.com", 8443, Scheme::Https, "GET"),
        refused
    );
    assert_eq!(code(&grants, "example.com", 443, Scheme::Https, "GET"), refused);
    assert_eq!(
        code(&grants, "xapi.example.com", 443, Scheme::Https, "GET"),
        refused
    );
}

#[test]
fn a_star_stands_for_what_is_below_and_not_for_the_name_itself() {
    let grants = hosts(&["*.example.com:8443"]);
    for (host, allowed) in [
        ("a.example.com", true),
        ("b.a.example.com", true),
        ("example.com", false),
        (".example.com", false),
        ("aexample.com", false),
        ("a.example.com.evil.org", false),
    ] {
        assert_eq!(
            code(&grants, host, 8443, Scheme::Https, "GET").is_none(),
            allowed,
            "{host}"
        );
    }
}

#[test]
fn methods_can_be_restricted() {
    let grants = hosts(&["get,HEAD@a.example.com"]);
    assert_eq!(code(&grants, "a.example.com", 443, Scheme::Https, "HEAD"), None);
    assert_eq!(
        code(&grants, "a.example.com", 443, Scheme::Https, "POST"),
        Some(ErrorCode::HostRefused)
    );
}

#[test]
fn an_address_is_granted_only_by_itself() {
    let grants = hosts(&["*", "localhost:1", "POST@127.0.0.1:8123", "[::1]:9"]);
    let allows = |address: &str, port, method| {
        grants.allows_address(address.parse().unwrap(), port, Scheme::Http, method)
    };
    assert!(allows("127.0.0.1", 8123, "POST"));
    assert!(allows("::ffff:127.0.0.1", 8123, "POST"));
    assert!(allows("::1", 9, "GET"));
    assert!(!allows("127.0.0.1", 8123, "GET"));
    assert!(!allows("127.0.0.1", 8124, "POST"));
    assert!(!allows("127.0.0.2", 8123, "POST"));
    assert!(!allows("10.0.0.1", 80, "GET"));
}

#[test]
fn what_is_no_host_is_refused_with_what_was_expected() {
    for (text, says) in [
        ("", "expected a host"),
        ("a b", "expected a host"),
        ("http://a", "port from 1 to 65535"),
        ("a:0", "port from 1 to 65535"),
        ("a:65536", "port from 1 to 65535"),
        ("a:+1", "port from 1 to 65535"),
        ("a:", "port from 1 to 65535"),
        ("::1", "in brackets"),
        ("*.com", "two labels"),
        ("a.*.com", "expected a host"),
        ("*.1.2.3.4", "expected a host"),
        ("FETCH@a", "expected one of `DELETE`"),
        ("@a", "expected one of `DELETE`"),
        ("2130706433", "in its usual form, `127.0.0.1`"),
        ("0x7f.1", "in its usual form, `127.0.0.1`"),
        ("[::ffff:127.0.0.1]", "in its usual form, `127.0.0.1`"),
        ("user@a.example.com", "expected one of"),
    ] {
        let error = text.parse::<HostGrant>().map(|grant| grant.to_string());
        let error = error.expect_err(text).to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    }
}

#[test]
fn disguises_of_one_host_have_one_normal_form() {
    for (text, means) in [
        ("2130706433", Some("127.0.0.1")),
        ("0x7f000001", Some("127.0.0.1")),
        ("0177.0.0.1", Some("127.0.0.1")),
        ("127.1", Some("127.0.0.1")),
        ("127.0.0.1.", Some("127.0.0.1")),
        ("[::ffff:7f00:1]", Some("127.0.0.1")),
        ("[0:0::1]", Some("[::1]")),
        ("LOCALHOST.", Some("localhost")),
        ("Bücher.Example", Some("xn--bcher-kva.example")),
        ("１２７.0.0.1", Some("127.0.0.1")),
        ("a..b", None),
        ("", None),
        (".", None),
    ] {
        assert_eq!(normal_host(text).as_deref(), means, "{text}");
    }
}

#[test]
fn grants_are_written_as_the_texts_they_are_read_from() {
    let json = r#"{"files":["/w:rw"],"hidden":["/d"],"hosts":["GET,HEAD@*.example.com:444","[::1]:9"],"env":["LANG"],"programs":["git"]}"#;
    let grants: Grants = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&grants).unwrap(), json);
    assert!(serde_json::from_str::<Grants>(r#"{"file":[]}"#).is_err());
    assert_eq!(serde_json::from_str::<Grants>("{}").unwrap(), Grants::default());
}

proptest! {
    #[test]
    fn no_text_breaks_the_parsers_and_what_they_take_they_write_the_same(text in ".{0,40}") {
        if let Ok(grant) = text.parse::<HostGrant>() {
            prop_assert_eq!(grant.to_string().parse::<HostGrant>().unwrap(), grant);
        }
        if let Ok(grant) = text.parse::<FileGrant>() {
            prop_assert_eq!(grant.to_string().parse::<FileGrant>().unwrap(), grant);
        }
        let mut grants = Grants::default();
        let _ = grants.allow_env(&text);
        let _ = grants.allow_program(&text);
        if let Some(normal) = normal_host(&text) {
            prop_assert_eq!(normal_host(&normal), Some(normal));
        }
    }
}
