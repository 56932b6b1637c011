# troupe_module(name SOURCES a.cc … USES base … LINKS yaml-cpp …)
#
# One static library per module. USES are our modules and are part of its interface; LINKS are
# outside libraries and stay private: no module's header may include one.
function(troupe_module name)
  cmake_parse_arguments(M "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_library(troupe_${name} STATIC ${M_SOURCES})
  target_include_directories(troupe_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  foreach(use IN LISTS M_USES)
    target_link_libraries(troupe_${name} PUBLIC troupe_${use})
  endforeach()
  target_link_libraries(troupe_${name} PRIVATE ${M_LINKS})
endfunction()

# troupe_test(name SOURCES a_test.cc … USES workflow … LINKS …): one binary, a ctest entry per TEST.
function(troupe_test name)
  cmake_parse_arguments(M "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_executable(${name}_test ${M_SOURCES})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR})
  foreach(use IN LISTS M_USES)
    target_link_libraries(${name}_test PRIVATE troupe_${use})
  endforeach()
  target_link_libraries(${name}_test PRIVATE ${M_LINKS} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 120)
endfunction()
