# Sourced by the other scripts: makes sure that programs are there, from Debian packages where they are not.
# `require PROGRAM=PACKAGE …`: root installs, others are asked by sudo; where neither goes, one line says what to do.

# Administrators' programs are often not in the PATH of others.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

require() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        echo "missing system packages: ${missing[*]}"
        if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
            install_packages "${missing[@]}"
        elif command -v apt-get >/dev/null && command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            install_packages sudo "${missing[@]}"
        else
            echo "get them with: sudo apt-get install -y ${missing[*]}" >&2
            exit 1
        fi
    fi
    if ! command -v cargo >/dev/null; then
        echo "cargo is missing; get it from https://rustup.rs" >&2
        exit 1
    fi
}

install_packages() {
    local as=()
    if [ "$1" = sudo ]; then
        as=(sudo)
        shift
    fi
    "${as[@]}" apt-get update -qq
    "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
