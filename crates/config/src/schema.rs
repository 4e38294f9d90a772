//! The JSON Schema of a configuration file (draft 2020-12), for editors and for `jumpvpn schema`.

use crate::keys::{AGENT, FileSpec, GATEWAY, KeySpec, LIST, Presence, Shape, TableSpec};
use crate::{policy, reader};

/// Base64 of 32 bytes: 42 characters of six bits, one whose last two bits are zero, and padding.
const KEY_PATTERN: &str = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$";

/// The schema, indented, with a newline at the end.
pub fn json_schema() -> String {
    let preset_names: Vec<String> = policy::preset_names().map(quoted).collect();
    let text = format!(
        "{{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\
         \"title\":\"Configuration of Jumping VPN\",\
         \"oneOf\":[{},{},{}],\
         \"$defs\":{{\"preset\":{{\"enum\":[{}]}},\"policy\":{}}}}}",
        file(&GATEWAY),
        file(&AGENT),
        file(&LIST),
        preset_names.join(","),
        policy_table(),
    );
    indented(&text)
}

/// A policy table: the policy's own schema and the name of the preset it starts from.
fn policy_table() -> String {
    let own = jumpvpn_policy::keys::json_schema();
    let preset = format!("\"properties\":{{{}:{{\"$ref\":\"#/$defs/preset\"}},", quoted(policy::PRESET));
    own.replacen("\"properties\":{", &preset, 1)
}

fn file(spec: &FileSpec) -> String {
    let mut members: Vec<String> =
        spec.tables.iter().map(|table| format!("{}:{}", quoted(table.name), table_schema(table))).collect();
    members
        .extend(spec.policy.then(|| format!("{}:{{\"$ref\":\"#/$defs/policy\"}}", quoted(reader::POLICY))));
    let required = spec.tables.iter().filter(|table| table.required).map(|table| table.name);
    object(spec.meaning, &members, required)
}

fn table_schema(table: &TableSpec) -> String {
    let members: Vec<String> =
        table.keys.iter().map(|key| format!("{}:{}", quoted(key.name), key_schema(key))).collect();
    let required = table.keys.iter().filter(|key| key.presence == Presence::Required).map(|key| key.name);
    let one = object(table.meaning, &members, required);
    if table.many { format!("{{\"type\":\"array\",\"items\":{one}}}") } else { one }
}

fn object<'a>(meaning: &str, members: &[String], required: impl Iterator<Item = &'a str>) -> String {
    let required: Vec<String> = required.map(quoted).collect();
    format!(
        "{{\"description\":{},\"type\":\"object\",\"additionalProperties\":false,\"required\":[{}],\"properties\":{{{}}}}}",
        quoted(meaning),
        required.join(","),
        members.join(",")
    )
}

fn key_schema(key: &KeySpec) -> String {
    let meaning = match key.presence {
        Presence::Required => key.meaning.to_owned(),
        Presence::Default(default) => format!("{} Without it: {default}.", key.meaning),
    };
    format!("{{\"description\":{},{}}}", quoted(&meaning), shape(key.shape))
}

fn shape(shape: Shape) -> String {
    let list = |pattern: &str| {
        format!("\"type\":\"array\",\"items\":{{\"type\":\"string\",\"pattern\":{}}}", quoted(pattern))
    };
    match shape {
        Shape::Text | Shape::Path => "\"type\":\"string\",\"minLength\":1".into(),
        Shape::Flag => "\"type\":\"boolean\"".into(),
        Shape::Interface => "\"type\":\"string\",\"pattern\":\"^[^/:%\\\\s]{1,15}$\"".into(),
        Shape::PublicKey => format!("\"type\":\"string\",\"pattern\":{}", quoted(KEY_PATTERN)),
        Shape::Choice(names) => {
            format!("\"enum\":[{}]", names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(","))
        }
        Shape::Mtu(low, high) => format!(
            "\"oneOf\":[{{\"const\":\"auto\"}},{{\"type\":\"integer\",\"minimum\":{low},\"maximum\":{high}}}]"
        ),
        Shape::Count(low, high) => format!(
            "\"oneOf\":[{{\"const\":\"auto\"}},{{\"type\":\"integer\",\"minimum\":{low},\"maximum\":{high}}}]"
        ),
        Shape::Number(low, high) => format!("\"type\":\"integer\",\"minimum\":{low},\"maximum\":{high}"),
        // A value of its own in TOML; what JSON calls a date is text.
        Shape::Time => "\"type\":\"string\",\"format\":\"date-time\"".into(),
        Shape::Policy => "\"oneOf\":[{\"$ref\":\"#/$defs/preset\"},{\"$ref\":\"#/$defs/policy\"}]".into(),
        Shape::Networks => list("^[0-9A-Fa-f.:]+(/[0-9]+)?$"),
        Shape::Addresses => list("^[0-9A-Fa-f.:]+$"),
        Shape::Listeners | Shape::Endpoints => list("^(udp|tcp|tls)://.+:[0-9]+$"),
        Shape::Interfaces => list("^[^/:%\\s]{1,15}$"),
        Shape::Texts => "\"type\":\"array\",\"items\":{\"type\":\"string\"}".into(),
    }
}

/// A JSON string. The texts are ours: printable, so quotes and backslashes are all there is to escape.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Compact JSON with every member on a line of its own and two spaces per level.
fn indented(json: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    let mut in_text = false;
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        let empty = |next: Option<&char>| matches!(next, Some('}' | ']'));
        match character {
            '\\' if in_text => {
                out.push(character);
                out.extend(characters.next());
                continue;
            }
            '"' => in_text = !in_text,
            _ if in_text => {}
            '}' | ']' if !out.ends_with(['{', '[']) => {
                depth -= 1;
                break_line(&mut out, depth);
            }
            _ => {}
        }
        out.push(character);
        match character {
            _ if in_text => {}
            ':' => out.push(' '),
            ',' => break_line(&mut out, depth),
            '{' | '[' if !empty(characters.peek()) => {
                depth += 1;
                break_line(&mut out, depth);
            }
            _ => {}
        }
    }
    out.push('\n');
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests;
