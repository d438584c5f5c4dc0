# What `scripts/test --full` and `--soak` run, one function each.

full_tools() {
  packages qemu-user-static g++-aarch64-linux-gnu binutils
  [[ -n $(clang ++) ]] || packages clang
  # Where the sanitizer and fuzzer runtimes are a package of their own.
  if ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    "$(clang ++)" -fsanitize=fuzzer,address -x c++ -o build/fuzzer-probe - 2>/dev/null; then
    packages "libclang-rt-$("$(clang '')" -dumpversion | cut -d. -f1)-dev"
  fi
  rm -f build/fuzzer-probe
}

# clang '' | clang ++: the newest Clang there is, at least 14; nothing if there is none.
clang() {
  local version
  for version in -21 -20 -19 -18 -17 -16 -15 -14; do
    if command -v "clang++$version" >/dev/null; then
      echo "clang$1$version"
      return
    fi
  done
}

# The wheel as a stranger builds it: in isolation, from the source distribution.
wheel() {
  rm -rf build/wheel build/sdist build/wheel-check
  quietly .venv/bin/pip install build
  quietly .venv/bin/python -m build --sdist --outdir build/sdist
  .venv/bin/python scripts/check_sdist.py build/sdist/*.tar.gz
  SKBUILD_BUILD_DIR=$PWD/build/wheel-check quietly .venv/bin/pip wheel --no-deps -w build/wheel \
    build/sdist/*.tar.gz
  ls -sh build/wheel/
}

# PyTorch stays out of .venv, so that the default tests prove that nothing needs it. PyTorch comes
# first and alone: then the CPU build satisfies what the others ask for.
oracle_environment() {
  environment .venv-oracle
  if changed .venv-oracle/settled pyproject.toml; then
    quietly .venv-oracle/bin/pip install 'torch==2.13.0'
    quietly .venv-oracle/bin/pip install "$(ls build/wheel/*.whl)[oracle,test]"
    settled .venv-oracle/settled pyproject.toml
  else
    quietly .venv-oracle/bin/pip install --no-deps --force-reinstall build/wheel/*.whl
  fi
  .venv-oracle/bin/python -c 'import torch, transformers
print("torch", torch.__version__, "transformers", transformers.__version__)'
}

# Against the installed wheel, not the source tree.
oracle_tests() { .venv-oracle/bin/python -m pytest -m 'oracle and not soak'; }

clang_build() {
  "$(clang ++)" --version | head -n 1
  cmake_build build/clang -DCMAKE_C_COMPILER="$(clang '')" -DCMAKE_CXX_COMPILER="$(clang ++)"
  quietly .venv/bin/ctest --test-dir build/clang --no-tests=error --output-on-failure -j "$jobs"
}

# Instrumented code takes long to optimize, and more than this finds no more errors. It also makes GCC
# warn of uninitialized values that are not there.
light=(-DPOCKETR1_WERROR=OFF -DCMAKE_BUILD_TYPE=Light -DCMAKE_C_FLAGS_LIGHT=-O1 -DCMAKE_CXX_FLAGS_LIGHT=-O1)

# setarch -R: older sanitizer runtimes do not survive the address randomization of newer kernels.
sanitized() {
  local dir=$1
  shift
  cmake_build "$dir" "${light[@]}" -DPOCKETR1_SANITIZE="$1"
  shift
  setarch -R .venv/bin/ctest --test-dir "$dir" --no-tests=error --output-on-failure -j "$jobs" "$@" | tail -n 60
}
address_sanitizer() {
  ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 sanitized build/asan address,undefined
}
thread_sanitizer() { TSAN_OPTIONS=halt_on_error=1 sanitized build/tsan thread; }

# run_core_tests DIR SESSION COMMAND...: every core test of a build under an emulator; of the session's
# only those whose names hold SESSION, of the K/V cache's the one that computes nothing, and of the
# weight stream's one: thousands of steps take minutes there.
run_core_tests() {
  local dir=$1 session=$2 test names
  shift 2
  for test in "$dir"/*_test; do
    printf '%s: ' "${test##*/}"
    case $test in
      */session_test) names=$session ;;
      */kv_cache_test) names=random_branches ;;
      */weight_stream_test) names=the_limit_can_change ;;
      *) names= ;;
    esac
    timeout 400 "$@" "$test" "$names" | tail -n 20
  done
}
# Where FMA itself is emulated (Nehalem), the session's golden values stand for its other tests.
emulated_core() {
  run_core_tests build/test/core "$2" qemu-x86_64-static -cpu "$1" \
    2> >(grep -v "doesn't support requested feature" >&2)
}

emulated_python() {
  timeout 180 qemu-x86_64-static -cpu "$1" .venv/bin/python -m pytest -m 'isa and not oracle and not soak and not browser' \
    2> >(grep -v "doesn't support requested feature" >&2)
}

arm64_core() {
  cmake_build build/arm64 -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
  local cpu
  local -A best=([max]=neon_i8mm [cortex-a76]=neon_dotprod)
  for cpu in max cortex-a76; do
    printf -- '-- %s: %s\n' "$cpu" "${best[$cpu]}"
    POCKETR1_EXPECT_ISA=${best[$cpu]} run_core_tests build/arm64 "" \
      qemu-aarch64-static -L /usr/aarch64-linux-gnu -cpu "$cpu"
  done
}

# fuzz SECONDS: every libFuzzer target, at once as far as there are CPUs. What they learn stays in
# build/fuzz/corpus; the first inputs are kept in tests/fuzz.
fuzz() {
  local target name
  cmake_build build/fuzz -DCMAKE_C_COMPILER="$(clang '')" -DCMAKE_CXX_COMPILER="$(clang ++)" \
    "${light[@]}" -DPOCKETR1_FUZZ=ON -DPOCKETR1_BUILD_TESTS=OFF \
    -DPOCKETR1_SANITIZE=address,undefined
  for target in build/fuzz/*_fuzz; do
    name=${target##*/}
    mkdir -p "build/fuzz/corpus/$name"
    echo "setarch -R $target build/fuzz/corpus/$name tests/fuzz/$name -max_total_time=$1" \
      "-max_len=65536 -rss_limit_mb=2048 -timeout=20 -artifact_prefix=build/fuzz/ >$logs/$name.log" \
      "2>&1 || { tail -n 40 $logs/$name.log; exit 1; }; echo $name: \$(tail -n 1 $logs/$name.log)"
  done | xargs -d '\n' -n 1 -P "$jobs" bash -c
}

python_soak() { .venv/bin/python -m pytest -m 'soak and not oracle and not browser'; }

# The header as strict C11 and as C++, and the example, which tests/python/test_c_example.py runs.
c_header() {
  local compiler strict='-Wall -Wextra -Wpedantic -Werror -Icore/include -fsyntax-only'
  echo '#include <pocketr1/pocketr1.h>' >build/header.c
  for compiler in "${CC:-gcc} -std=c11 -x c" "${CXX:-g++} -std=c++20 -x c++" "$(clang '') -std=c11 -x c"; do
    $compiler $strict build/header.c
  done
  for compiler in "${CC:-gcc}" "$(clang '')"; do $compiler -std=c11 $strict examples/c/*.c; done
}
