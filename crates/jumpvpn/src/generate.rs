//! What is generated from the program's own declarations: completions, manual pages, JSON Schemas.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, ManArgs, SchemaArgs, SchemaName};
use crate::exit::{Code, Failure, Outcome};

/// `jumpvpn completions SHELL`.
pub(crate) fn completions(args: &CompletionsArgs) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "jumpvpn", &mut text);
    std::io::stdout().write_all(&text)?;
    Ok(())
}

/// `jumpvpn man [--out DIR]`.
pub(crate) fn man(args: &ManArgs) -> Outcome {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        std::io::stdout().write_all(&page)?;
        return Ok(());
    };
    pages(folder).map_err(|error| Failure::new(Code::Failed, format!("{}: {error}", folder.display())))
}

/// Writes the main page and one for every verb.
fn pages(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
}

/// `jumpvpn schema [config|events]`.
pub(crate) fn schema(args: &SchemaArgs) -> Outcome {
    let text = match args.of {
        SchemaName::Config => jumpvpn_config::json_schema(),
        SchemaName::Events => jumpvpn_events::json_schema(),
    };
    writeln!(std::io::stdout(), "{}", text.trim_end())?;
    Ok(())
}
