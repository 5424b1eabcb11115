# Compiler flags of every target of ours, on one interface target.
add_library(repl_flags INTERFACE)
target_include_directories(repl_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(repl_flags INTERFACE _GNU_SOURCE REPL_VERSION="${PROJECT_VERSION}")
target_compile_options(repl_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wcast-qual -Wformat=2 -Wvla -Wundef -Wpointer-arith
    -Wwrite-strings -Wimplicit-fallthrough
    -fno-common -fstack-protector-strong -fvisibility=hidden)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # Texts for people are cut on purpose where they do not fit; snprintf() keeps the bounds.
    target_compile_options(repl_flags INTERFACE -Wno-format-truncation)
endif()
if(REPL_WERROR)
    target_compile_options(repl_flags INTERFACE -Werror)
endif()
if(REPL_SANITIZE)
    target_compile_options(repl_flags INTERFACE
        -fsanitize=${REPL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(repl_flags INTERFACE -fsanitize=${REPL_SANITIZE})
endif()
if(REPL_COVERAGE)
    target_compile_options(repl_flags INTERFACE --coverage)
    target_link_options(repl_flags INTERFACE --coverage)
endif()
