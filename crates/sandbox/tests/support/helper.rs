//! The helper for tests: a program that does nothing but be one.

fn main() {
    actum_sandbox::helper_entry();
}
