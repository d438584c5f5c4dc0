# The stages of `scripts/test --full`; scripts/test sources it.

source scripts/stages.sh
must 'tools for the full tests' full_tools

stage 'wheel, built apart' wheel
stage 'no instruction set leaks' .venv/bin/python scripts/check_isa_leak.py build/wheel-check
stage 'the page' scripts/web --check
stage 'the page in Chromium' scripts/web --browser
stage 'oracle environment' oracle_environment
stage 'oracle tests' oracle_tests
stage 'Clang without warnings' clang_build
stage 'AddressSanitizer and UndefinedBehaviorSanitizer' address_sanitizer
stage 'ThreadSanitizer' thread_sanitizer
stage 'C header as C and as C++' c_header
stage 'core on an emulated Haswell (AVX2)' emulated_core Haswell ''
stage 'core on an emulated Nehalem (scalar)' emulated_core Nehalem every_machine_gives_these_bits
stage 'Python on an emulated Haswell' emulated_python Haswell
stage 'core on emulated arm64' arm64_core
stage 'no instruction set leaks on arm64' .venv/bin/python scripts/check_isa_leak.py build/arm64
stage 'fuzzing, 20 s each' fuzz 20
