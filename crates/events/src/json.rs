//! Writes an event as one line of JSON, by hand: the hot path needs no serialiser and the shape stays in sight.
