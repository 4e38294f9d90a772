//! Fields of the kernel's files.

use super::*;

#[test]
fn fields_of_proc_files() {
    let text =
        "processor\t: 0\nmodel name\t: Some CPU @ 2.0 GHz\nMemTotal:       16384 kB\nmodel name\t: Other\n";
    assert_eq!(field(text, "model name"), Some("Some CPU @ 2.0 GHz"));
    assert_eq!(field(text, "model"), None);
    assert_eq!(field(text, "MemTotal").and_then(kibibytes), Some(16 << 20));
    assert_eq!(kibibytes("16384"), None);
}

#[test]
fn this_machine_has_a_kernel_and_cores() {
    let machine = Machine::here().as_json();
    assert!(machine["kernel"].as_str().unwrap().starts_with("Linux "), "{machine}");
    assert!(machine["cores"].as_u64().unwrap() >= 1);
    assert!(machine["cpu"].is_string() && machine["build"].is_string());
}
