//! Session protocol.
