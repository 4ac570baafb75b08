//! Tests of the rules as a whole: commands in, markers and secrets out; streams cut everywhere.

use super::*;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

fn redacted(payload: &Value) -> (Value, Vec<(String, String)>) {
    let json = Json::from_value(payload).unwrap();
    let Some(found) = command(&json, &Rules::default()) else {
        return (payload.clone(), Vec::new());
    };
    let pairs = found
        .secrets
        .iter()
        .map(|secret| (secret.reference.clone(), secret.value.clone()))
        .collect();
    (found.payload.to_value(), pairs)
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a table of literals reads better")]
fn check(payload: Value, expected: Value, secrets: &[&str]) {
    let (found, pairs) = redacted(&payload);
    assert_eq!(found, expected);
    let values: Vec<_> = pairs.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, secrets);
    assert_eq!(
        redacted(&found),
        (expected, Vec::new()),
        "redacting twice changes nothing"
    );
}

fn marked(reference: &str) -> Value {
    json!({"$redacted": "secret", "ref": reference})
}

const GITHUB: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

#[test]
fn secrets_in_argv() {
    check(
        json!({"argv": ["curl", "-H", "Authorization: Bearer abcdef0123456789XYZ", "--token", "t0p", "--password=hunter2", "https://x.org"]}),
        json!({"argv": ["curl", "-H", "Authorization: Bearer [redacted:secret:s1]", "--token", marked("s2"),
            "--password=[redacted:secret:s3]", "https://x.org"]}),
        &["abcdef0123456789XYZ", "t0p", "hunter2"],
    );
    check(
        json!({"argv": ["git", GITHUB]}),
        json!({"argv": ["git", marked("s1")]}),
        &[GITHUB],
    );
}

#[test]
fn a_flag_without_a_value_takes_nothing() {
    let payload = json!({"argv": ["x", "--token", "--verbose", "file"]});
    check(payload.clone(), payload, &[]);
}

#[test]
fn secrets_in_env_are_taken_out_of_argv_too() {
    check(
        json!({"argv": ["psql", "host=db password=hunter2", "hunter2/x"], "env": {"PGPASSWORD": "hunter2", "PORT": "5432"}}),
        json!({"argv": ["psql", "host=db password=[redacted:secret:s1]", "[redacted:secret:s1]/x"],
            "env": {"PGPASSWORD": marked("s1"), "PORT": "5432"}}),
        &["hunter2"],
    );
}

#[test]
fn secrets_in_nested_payloads_and_names() {
    check(
        json!({"a": [{"clientSecret": "abc"}, {"name": "Authorization", "value": "Basic dXNlcjpw"}], "b": {"password": {"old": "x1y2", "n": 12345}}}),
        json!({"a": [{"clientSecret": marked("s1")}, {"name": "Authorization", "value": "Basic [redacted:secret:s2]"}],
            "b": {"password": {"old": marked("s4"), "n": marked("s3")}}}),
        &["abc", "dXNlcjpw", "12345", "x1y2"],
    );
    let (found, _) = redacted(&json!({"password": "hunter2", "map": {"hunter2!": 1}}));
    assert_eq!(found["map"], json!({"[redacted:secret:s1]!": 1}));
}

#[test]
fn a_secret_spelt_like_a_marker_does_not_nest() {
    let (found, _) =
        redacted(&json!({"password": "redacted", "x": "Bearer abcdef0123456789XYZ", "y": "is redacted"}));
    assert_eq!(found["x"], "Bearer [redacted:secret:s2]");
    assert_eq!(found["y"], "is [redacted:secret:s1]");
}

/// A recursion per marker overflowed the stack.
#[test]
fn a_text_of_nothing_but_markers_is_no_danger() {
    let text = "[redacted:secret:s1]".repeat(50_000);
    let (found, secrets) = redacted(&json!({"password": "hunter2", "stdin": text}));
    assert_eq!(
        (found["stdin"].as_str().unwrap(), secrets.len()),
        (text.as_str(), 1)
    );
}

#[test]
fn booleans_empty_values_and_references_stay() {
    let payload = json!({"token": true, "password": "", "secret": null, "env": {"A_TOKEN": "$secret:NAME", "B_KEY": {"$secret": "B"}}});
    check(payload.clone(), payload, &[]);
}

#[test]
fn ordinary_values_are_left_alone() {
    let payload = json!({
        "argv": ["sha256sum", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
        "key": "primary", "keys": {"sort_key": "abc"}, "max_tokens": 100, "nextPageToken": "CAUQAA",
        "uuid": "0b0f8e4c-6f0e-4d0a-9c39-0d4f0a1b2c3d",
        "file": "aGVsbG8gd29ybGQsIHRoaXMgaXMgYSBmaWxlIGluIGJhc2U2NCB0aGF0IG1lbnRpb25zIG5vIHNlY3JldA==",
        "code": "def token(self):\n    return self.password or os.environ['API_KEY']\n",
        "url": "https://user@example.org:8080/a?page=2#key",
    });
    check(payload.clone(), payload, &[]);
}

#[test]
fn the_same_command_gives_the_same_markers() {
    let payload = json!({"z": GITHUB, "a": {"token": "x"}, "m": [GITHUB]});
    assert_eq!(redacted(&payload), redacted(&payload));
    assert_eq!(redacted(&payload).1[0].0, "s1");
}

#[test]
fn a_lost_secret_is_noticed() {
    assert!(is_lost(&json!({"env": {"T": marked("s1")}})));
    assert!(!is_lost(
        &json!({"env": {"T": "x", "U": {"$redacted": "no class", "ref": "s1"}}})
    ));
}

#[test]
fn an_exported_row_is_redacted_again() {
    let mut row = json!({"kind": "shell.run", "idempotencyKey": "k1", "data": {"stdout": {"text": format!("x {GITHUB} y")}}});
    export_row(&mut row, &Rules::default());
    let once = row.clone();
    assert_eq!(row["data"]["stdout"]["text"], "x [redacted:secret:s1] y");
    assert_eq!(row["idempotencyKey"], "k1");
    export_row(&mut row, &Rules::default());
    assert_eq!(row, once);
}

fn secret(reference: &str, value: &str) -> Secret {
    Secret::new(reference, value)
}

fn streamed(redactor: &OutputRedactor, bytes: &[u8], size: usize) -> String {
    let (mut stream, mut out) = (redactor.clone(), Vec::new());
    for chunk in bytes.chunks(size) {
        stream.push(chunk, &mut out);
    }
    out.extend(stream.finish());
    String::from_utf8(out).unwrap()
}

#[test]
fn chunks_of_every_size_give_the_same_output() {
    let secrets = [
        secret("s1", "hunter2"),
        secret("NAME", "hunter2hunter3"),
        secret("s3", "aaaa"),
    ];
    let redactor = OutputRedactor::new(&secrets);
    let text = "hunt hunter2 hunter2hunter3 xhunter2hunter aaaaaaaaa aaa hunter2hunter2 aHVudGVyMg== 68756e74657232 hunter";
    let expected = streamed(&redactor, text.as_bytes(), text.len());
    assert_eq!(
        expected,
        "hunt [redacted:secret:s1] [redacted:secret:NAME] x[redacted:secret:s1]hunter [redacted:secret:s3] aaa \
         [redacted:secret:s1][redacted:secret:s1] [redacted:secret:s1] [redacted:secret:s1] hunter"
    );
    for size in 1..text.len() {
        assert_eq!(
            streamed(&redactor, text.as_bytes(), size),
            expected,
            "chunks of {size}"
        );
    }
}

#[test]
fn overlapping_secrets_leave_no_end_behind() {
    let redactor = OutputRedactor::new(&[secret("s1", "abcdef"), secret("s2", "defghi")]);
    for size in 1..9 {
        assert_eq!(
            streamed(&redactor, b"xabcdefghiy", size),
            "x[redacted:secret:s1]y",
            "chunks of {size}"
        );
    }
}

#[test]
fn what_cannot_become_a_secret_is_not_held_back() {
    let mut redactor = OutputRedactor::new(&[secret("s1", "hunter2")]);
    let mut out = Vec::new();
    redactor.push(b"prompt> h", &mut out);
    assert_eq!(out, b"prompt> ");
    redactor.push(b"ello.", &mut out);
    assert_eq!(out, b"prompt> hello.");
}

#[test]
fn an_endless_overlap_holds_no_memory() {
    let mut redactor = OutputRedactor::new(&[secret("s1", "aaaa")]);
    let mut out = Vec::new();
    for _ in 0..1000 {
        redactor.push(&[b'a'; 1000], &mut out);
    }
    out.extend(redactor.finish());
    assert_eq!(out, b"[redacted:secret:s1]");
}

fn vault_with(name: &str, content: &str, mode: u32) -> (tempfile::TempDir, Vault) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let vault = Vault::new(folder.path());
    (folder, vault)
}

#[test]
fn references_are_resolved_in_both_spellings() {
    let (_folder, vault) = vault_with("DB.pass", "hunter2\n", 0o600);
    let payload = json!({"argv": ["x", "$secret:DB.pass", "see $secret:DB.pass"], "env": {"P": {"$secret": "DB.pass"}}});
    let (found, secrets) = resolve(&payload, &vault).unwrap();
    assert_eq!(
        found,
        json!({"argv": ["x", "hunter2", "see $secret:DB.pass"], "env": {"P": "hunter2"}})
    );
    assert_eq!(secrets, [secret("DB.pass", "hunter2")]);
}

#[track_caller]
fn refused(vault: &Vault, name: &str, expected: &str) {
    let fault = resolve(&json!([format!("$secret:{name}")]), vault).unwrap_err();
    assert_eq!(fault.code, actum_model::ErrorCode::SecretUnavailable);
    assert!(fault.message.contains(expected), "{}", fault.message);
}

#[test]
fn a_secret_that_is_not_there_or_open_to_others_is_refused() {
    let (folder, vault) = vault_with("OPEN", "x", 0o644);
    refused(&vault, "MISSING", "no secret is named `MISSING`");
    refused(&vault, "OPEN", "expected a file of mode 0600, got mode 0644");
    refused(&vault, "..", "expected the name of a secret");
    refused(&vault, "a/b", "expected the name of a secret");
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("LINK")).unwrap();
    refused(&vault, "LINK", "cannot be read");
    let (_folder, vault) = vault_with("EMPTY", "\n", 0o600);
    refused(&vault, "EMPTY", "expected text");
}

#[test]
fn a_secret_never_shows_in_debug_output() {
    assert_eq!(format!("{:?}", secret("s1", "hunter2")), "Secret(s1, 7 bytes)");
}
