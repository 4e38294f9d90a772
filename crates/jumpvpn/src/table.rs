//! Plain tables for people: columns as wide as their widest cell, numbers to the right.

/// A column: its heading, and whether its cells stand to the right.
pub(crate) struct Column {
    pub(crate) heading: String,
    pub(crate) right: bool,
}

impl Column {
    /// A column of words.
    pub(crate) fn left(heading: &str) -> Column {
        Column { heading: heading.to_owned(), right: false }
    }

    /// A column of figures.
    pub(crate) fn right(heading: &str) -> Column {
        Column { heading: heading.to_owned(), right: true }
    }
}

/// Renders `rows` under their headings, each line indented by two spaces and without white space at its end.
pub(crate) fn render(columns: &[Column], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain([columns[index].heading.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).zip(columns).map(|((cell, width), column)| {
            if column.right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("  {}", padded.collect::<Vec<_>>().join("  ")).trim_end().to_owned() + "\n"
    };
    let mut text = line(columns.iter().map(|column| column.heading.as_str()).collect());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests;
