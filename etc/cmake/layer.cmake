# repl_layer(NAME SOURCES... [LINK libraries...]): one static library for one row of the layer
# table, named repl_NAME.
function(repl_layer name)
    cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
    add_library(repl_${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
    target_link_libraries(repl_${name} PUBLIC repl_flags ${ARG_LINK})
    set_property(GLOBAL APPEND PROPERTY REPL_LAYERS repl_${name})
endfunction()
