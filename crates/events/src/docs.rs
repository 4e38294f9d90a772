//! The reference page and the JSON schema of events, both from the registry.
/// The reference page of all reasons.
pub fn docs_markdown() -> String {
    String::new()
}
/// The JSON schema of an event line.
pub fn json_schema() -> String {
    String::new()
}
