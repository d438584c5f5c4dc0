# The stages of `scripts/test --soak`; scripts/test sources it.

source scripts/stages.sh
must 'tools for the long tests' full_tools
stage 'long Python tests' python_soak
stage 'arm64 Debian root' scripts/test-arm64
stage 'fuzzing, 300 s each' fuzz 300
