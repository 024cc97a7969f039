#!/bin/sh
# make_venv.sh DIR: a virtual environment in DIR with madvet, its tests and linters installed from
# this checkout. Says what is missing on the machine; as root on Debian and the like it installs
# that too, unless MADVET_APT=0. PYTHON=... chooses the interpreter.
set -eu

venv=$1
checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)

say() { printf 'madvet: %s\n' "$*" >&2; }

# Every folder above the interpreter must let other users through: a venv made from root's private
# Python is dead for them, and madvet is worth running as an ordinary user.
open_to_others() {
    at=$(readlink -f "$1")
    while [ "$at" != / ]; do
        case $(stat -c %A "$at") in ?????????[xt]) ;; *) return 1 ;; esac
        at=$(dirname "$at")
    done
}

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Prints the interpreter to use: the first one open to others, else the first usable one.
choose_python() {
    second=
    for name in ${PYTHON:-/usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11}; do
        if ! found=$(command -v "$name") || ! usable "$found"; then
            continue
        fi
        real=$("$found" -c 'import sys; print(sys.executable)')
        if open_to_others "$real"; then
            echo "$real"
            return
        fi
        second=${second:-$real}
    done
    [ -n "$second" ] && echo "$second"
}

apt_install() {
    if [ "$(id -u)" != 0 ] || [ "${MADVET_APT:-1}" = 0 ] || ! command -v apt-get >/dev/null; then
        return 1
    fi
    say "installing Debian packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update </dev/null >&2 &&
        apt-get -qq -y --no-install-recommends install "$@" </dev/null >&2
}

if ! command -v "${CC:-cc}" >/dev/null && ! apt_install gcc libc6-dev; then
    say "no C compiler (${CC:-cc}), and the executor is built with it: apt-get install gcc libc6-dev"
    exit 3
fi
if ! python=$(choose_python); then
    apt_install python3 python3-venv python3-dev || true
    if ! python=$(choose_python); then
        say "no Python 3.11 or newer with venv: apt-get install python3 python3-venv, or PYTHON=..."
        exit 3
    fi
fi
if ! "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; then
    apt_install python3-dev || say "no Python.h (apt-get install python3-dev): goes on without" \
        "native code, about half as fast"
fi

# An environment whose interpreter is gone (a moved checkout, an upgraded system) is made anew.
if [ -e "$venv" ] && ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    say "$venv does not run any more: making it anew"
    rm -rf -- "$venv"
fi
[ -e "$venv" ] || "$python" -m venv "$venv"
say "installing into $venv ($("$venv/bin/python" -V))"
"$venv/bin/python" -m pip -qq --disable-pip-version-check install \
    -e "${checkout}[test,lint,compiled]" </dev/null
