# Runs at `cmake --install`: what holds paths is made for the prefix of that moment, which need not
# be the one of the configuration. `from`, `made` and `sbin` are set by etc/CMakeLists.txt.
set(prefix "${CMAKE_INSTALL_PREFIX}")
# The system's own prefixes have their settings in /etc, any other below itself.
if(prefix MATCHES "^(|/usr|/usr/local)/*$")
    set(etc /etc)
else()
    set(etc "${prefix}/etc")
endif()
if(NOT IS_ABSOLUTE "${sbin}")
    set(sbin "${prefix}/${sbin}")
endif()

file(READ "${from}/repld.service" service)
string(REPLACE "/usr/sbin/repld" "${sbin}/repld" service "${service}")
string(REPLACE "/etc/repld" "${etc}/repld" service "${service}")
file(WRITE "${made}/repld.service" "${service}")
file(INSTALL "${made}/repld.service" DESTINATION "${prefix}/lib/systemd/system")

# An operator's configuration is never overwritten; ours stands beside it.
file(INSTALL "${from}/repld.yaml" DESTINATION "${etc}/repld" RENAME repld.yaml.default)
if(NOT EXISTS "$ENV{DESTDIR}${etc}/repld/repld.yaml")
    file(INSTALL "${from}/repld.yaml" DESTINATION "${etc}/repld")
endif()
