# Shared by scripts/*: stages with times, what the machine lacks, the virtual environments.
# Source it; it moves to the repository's root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=1
export DEBIAN_FRONTEND=noninteractive
jobs=$(nproc)
# A compiler process takes up to 330 MB here, and others want some too.
build_jobs() {
  local kilobytes most
  kilobytes=$(awk '/^MemAvailable:/ {print $2}' "${1:-/proc/meminfo}" 2>/dev/null) || true
  most=$((${kilobytes:-$((jobs * 700000))} / 700000))
  ((most < jobs)) || most=$jobs
  ((most > 0)) || most=1
  echo "$most"
}
logs=build/logs
mkdir -p "$logs"

passed=()
failed=()

# stage NAME COMMAND...: runs a command, prints its time, remembers how it ended, and goes on.
stage() {
  local name=$1 start=$SECONDS status
  shift
  printf '\n== %s\n' "$name"
  set +e
  (set -e; "$@")
  status=$?
  set -e
  if ((status == 0)); then
    printf '== %s: passed in %d s\n' "$name" $((SECONDS - start))
    passed+=("$(printf '%5d s  %s' $((SECONDS - start)) "$name")")
  else
    printf '== %s: FAILED (exit %d) after %d s\n' "$name" "$status" $((SECONDS - start))
    failed+=("$name")
  fi
}

# must NAME COMMAND...: a stage that the rest cannot do without.
must() {
  stage "$@"
  if ((${#failed[@]})); then finish; fi
}

# finish: the summary; ends the script, with 1 if a stage failed.
finish() {
  local name
  printf '\n%s: %d stages passed, %d failed, %d s in all\n' \
    "${0#./}" "${#passed[@]}" "${#failed[@]}" "$SECONDS"
  if ((${#passed[@]})); then printf '  %s\n' "${passed[@]}"; fi
  for name in ${failed[@]+"${failed[@]}"}; do printf '   FAILED  %s\n' "$name"; done
  if ((${#failed[@]})); then exit 1; fi
  exit 0
}

# quietly COMMAND...: output goes to a log, whose end is shown if the command fails.
quietly() {
  local log status
  log=$(mktemp "$logs/XXXXXX.log")
  set +e
  "$@" >"$log" 2>&1
  status=$?
  set -e
  if ((status != 0)); then
    printf 'failed: %s\n' "$*"
    tail -n 60 "$log"
    exit "$status"
  fi
  rm -f "$log"
}

# packages NAME...: Debian packages that must be there; installed when root, named otherwise.
packages() {
  local name missing=()
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q '^install ok' || missing+=("$name")
  done
  if ((${#missing[@]} == 0)); then return; fi
  if ((EUID != 0)); then
    printf 'missing: %s\nInstall with: sudo apt-get install %s\n' "${missing[*]}" "${missing[*]}"
    exit 1
  fi
  printf 'installing %s\n' "${missing[*]}"
  if [[ ! -e $logs/apt-updated ]]; then
    quietly apt-get update -q
    touch "$logs/apt-updated"
  fi
  quietly apt-get install -qy --no-install-recommends "${missing[@]}" </dev/null
}

# toolchain: Python >= 3.10 with venv and headers, and a C++20 compiler.
python=${PYTHON:-python3}
toolchain() {
  local needs=() variable
  for variable in CC CXX; do
    local command=${!variable:-} # "ccache g++" counts by its first word
    if [[ -n $command ]] && ! command -v "${command%% *}" >/dev/null; then
      printf '%s=%s: there is no such compiler. Unset %s, or let it name one that is there.\n' \
        "$variable" "$command" "$variable"
      exit 1
    fi
  done
  command -v "$python" >/dev/null || needs+=(python3)
  "$python" -c 'import ensurepip, venv' 2>/dev/null || needs+=(python3-venv)
  "$python" -c 'import pathlib, sysconfig
assert (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists()' 2>/dev/null ||
    needs+=(python3-dev)
  [[ -n ${CXX:-} ]] || command -v g++ >/dev/null || needs+=(g++)
  if ((${#needs[@]})); then
    if command -v apt-get >/dev/null; then
      packages "${needs[@]}"
    else
      printf 'missing, under the names Debian gives them: %s\n' "${needs[*]}"
      exit 1
    fi
  fi
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    printf '%s is older than 3.10; name a newer one with PYTHON=...\n' "$("$python" --version)"
    exit 1
  }
}

# changed STAMP FILE...: true if the files (folders with all in them) are not those of `settled STAMP`.
changed() {
  local stamp=$1
  shift
  [[ $(fingerprint "$@") != "$(cat "$stamp" 2>/dev/null)" ]]
}
settled() {
  local stamp=$1
  shift
  fingerprint "$@" >"$stamp"
}
fingerprint() {
  find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}

# environment DIR: a virtual environment, made once.
environment() {
  [[ -x $1/bin/python ]] || quietly "$python" -m venv "$1"
}

# cmake_build DIR OPTION...: configures and builds the core alone.
cmake_build() {
  local dir=$1
  shift
  quietly .venv/bin/cmake -S core -B "$dir" -G Ninja \
    -DCMAKE_MAKE_PROGRAM="$PWD/.venv/bin/ninja" -DPOCKETR1_WERROR=ON "$@"
  quietly .venv/bin/cmake --build "$dir" -j "$(build_jobs)"
}

# build_package [alone]: .venv with the package (editable), what its tests need and, in build/test, the
# core's tests. alone: the package and nothing else, where that is not built with its tests already.
build_package() {
  local stamp=.venv/built extras='.[test]' tests=ON inputs=(CMakeLists.txt pyproject.toml core tests/core)
  if [[ ${1:-} == alone && ! -e $stamp ]]; then
    stamp=.venv/built-alone extras=. tests=OFF inputs=(CMakeLists.txt pyproject.toml core)
  fi
  if [[ -x .venv/bin/pocketr1 ]] && ! changed "$stamp" "${inputs[@]}"; then
    echo "nothing changed"
    return
  fi
  echo "this takes some minutes, on a phone more"
  environment .venv
  quietly .venv/bin/pip install 'scikit-build-core>=0.10' 'nanobind>=2.2' 'cmake>=3.18' ninja
  # By environment: the pip of Debian 12 and Ubuntu 22.04 has no -C.
  SKBUILD_BUILD_DIR=build/test \
    SKBUILD_CMAKE_DEFINE="POCKETR1_BUILD_TESTS=$tests;POCKETR1_WERROR=$tests" \
    CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(build_jobs)} \
    quietly .venv/bin/pip install --no-build-isolation -e "$extras"
  settled "$stamp" "${inputs[@]}"
}
