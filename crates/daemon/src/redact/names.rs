//! Names under which a secret stands: members of objects, variables, command line flags.

/// Words that, at the end of a name, make it the name of a secret.
pub(super) const WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "authorization",
];
/// What stands before `key` in the name of a secret. A key by itself is as often that of a map.
pub(super) const KEYS: &[&str] = &[
    "access",
    "account",
    "api",
    "auth",
    "client",
    "deploy",
    "encryption",
    "host",
    "master",
    "private",
    "secret",
    "service",
    "session",
    "shared",
    "signing",
    "ssh",
    "subscription",
];
/// What stands before `token` where it only marks a place: tokens of paging are no secrets.
const PLACES: &[&str] = &[
    "cancel",
    "cancellation",
    "continuation",
    "cursor",
    "next",
    "page",
    "pagination",
    "sync",
];
/// Ends of names of environment variables, which are more often secrets than the same words elsewhere.
pub(super) const VARIABLES: &[&str] = &[
    "_TOKEN",
    "_KEY",
    "_SECRET",
    "_PASSWORD",
    "_PASSWD",
    "_PASSPHRASE",
    "_PASS",
    "_PWD",
    "_CREDENTIAL",
    "_CREDENTIALS",
    "_PAT",
];

/// Whether what stands under this name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    if is_variable(name) {
        return true;
    }
    let words = words(name);
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    let before = before.last().map_or("", String::as_str);
    if WORDS.iter().any(|word| last.ends_with(word)) {
        return !(last == "token" && PLACES.contains(&before));
    }
    last == "key" && KEYS.contains(&before)
}

/// Whether this is a flag whose value, the next argument, is a secret: `--password`, `--api-key`.
pub(super) fn is_secret_flag(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains(['=', ' ']) && is_secret(argument)
}

fn is_variable(name: &str) -> bool {
    let upper = name
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    upper && VARIABLES.iter().any(|end| name.ends_with(end)) && !name.ends_with("PUBLIC_KEY")
}

/// The words of a name, in lower case: `clientSecret`, `client-secret` and `CLIENT_SECRET` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && lower_before) {
            words.push(String::new());
        }
        lower_before = c.is_ascii_lowercase() || c.is_ascii_digit();
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_name_secrets() {
        for name in [
            "password",
            "Passwd",
            "db_password",
            "PGPASSWORD",
            "clientSecret",
            "client-secret",
            "token",
            "accessToken",
            "x-api-key",
            "apiKey",
            "api_key",
            "apikey",
            "Authorization",
            "private_key",
            "privateKey",
            "GITHUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "DEPLOY_KEY",
            "SOME_OTHER_KEY",
            "MYSQL_PWD",
            "--password",
            "--api-key",
        ] {
            assert!(is_secret(name), "{name}");
        }
    }

    #[test]
    fn these_do_not() {
        for name in [
            "key",
            "primary_key",
            "public_key",
            "SSH_PUBLIC_KEY",
            "idempotencyKey",
            "max_tokens",
            "token_count",
            "nextPageToken",
            "next_token",
            "PWD",
            "OLDPWD",
            "passwords_file_count",
            "KEYBOARD",
            "secretary",
            "sort_key",
            "cacheKey",
            "",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_flag_is_one_argument_without_its_value() {
        assert!(is_secret_flag("--token"));
        assert!(!is_secret_flag("--token=x"));
        assert!(!is_secret_flag("token"));
    }
}
