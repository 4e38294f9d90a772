#!/bin/sh
# A rustc wrapper: the project's own crates count the edges they take (SanitizerCoverage of LLVM, which needs no nightly
# compiler), everything else is built as usual. `cargo xtask fuzz` sets it; src/coverage.rs reads the counters.
#
# Level 3 is edges without callbacks for indirect calls. The runner itself is left out: only the product is measured.
# Under cargo-fuzz, which instruments by itself, nothing is added.
case "$*" in
*"--cfg fuzzing"* | *"--crate-name jumpvpn_fuzz "*) ;;
*"--crate-name jumpvpn_"*)
    exec "$@" -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=3 \
        -C llvm-args=-sanitizer-coverage-inline-8bit-counters
    ;;
esac
exec "$@"
