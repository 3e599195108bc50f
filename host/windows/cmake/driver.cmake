# SPDX-License-Identifier: GPL-2.0-only
# uw_driver(NAME SOURCES...): a WDM driver NAME.sys, made by whichever compiler the toolchain file names.
#
# Clang's is linked by lld-link, which alone writes control-flow guard tables and a PDB; GCC's by its own linker. Neither
# puts a time or a path into the file, so that two builds are the same.
#
# On Windows, Visual Studio 2022 makes a solution of this with the driver kit and its own Clang:
#	cmake -S host/windows -B build/vs -G "Visual Studio 17 2022" -A x64 -T ClangCL
# cl.exe will not do: the sources take atomics and attributes that GCC and Clang have. That branch (MSVC below, which is
# true for ClangCL) has not been run: neither Visual Studio nor the driver kit was at hand.

get_filename_component(UW_ROOT ${CMAKE_CURRENT_LIST_DIR}/../../.. ABSOLUTE)
set(UW_DDK /usr/x86_64-w64-mingw32/include/ddk)
set(UW_DRIVER_LIBRARIES /usr/x86_64-w64-mingw32/lib)

if(MSVC)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL Clang)
    message(FATAL_ERROR "UsbWarp needs Clang: add -T ClangCL (component \"C++ Clang tools\" of Visual Studio)")
  endif()
  list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
  find_package(Wdk REQUIRED)
  # Checks at run time call a library that drivers do not have; programs bring theirs along.
  string(REPLACE /RTC1 "" CMAKE_C_FLAGS_DEBUG "${CMAKE_C_FLAGS_DEBUG}")
  set(CMAKE_MSVC_RUNTIME_LIBRARY MultiThreaded)
  set(UW_DDK ${Wdk_INCLUDE_DIRS})
  set(UW_DRIVER_LIBRARIES ${Wdk_LIBRARY_DIR})
endif()

# Microsoft's kit has usbdex.lib, mingw's headers and libraries do not; without it no guest is offered streams.
if(MSVC)
  option(USBWARP_USBD "UsbWarpFilter.sys with a USBD handle" ON)
else()
  set(USBWARP_USBD OFF)
endif()

add_library(usbwarp_driver_flags INTERFACE)
target_include_directories(usbwarp_driver_flags INTERFACE ${UW_ROOT}/include ${UW_ROOT}/core)
target_include_directories(usbwarp_driver_flags SYSTEM INTERFACE ${UW_DDK})
target_compile_definitions(usbwarp_driver_flags INTERFACE
  UW_NT_KERNEL _WIN64 _AMD64_ NTDDI_VERSION=0x0A000000 _WIN32_WINNT=0x0A00 WINVER=0x0A00)
if(MSVC)
  target_compile_options(usbwarp_driver_flags INTERFACE
    /kernel /GS- /Zl /W4 /WX /guard:cf /Brepro /Zi -Wno-multichar -Wno-unused-parameter)
  target_link_options(usbwarp_driver_flags INTERFACE
    /DRIVER:WDM /SUBSYSTEM:NATIVE,10.00 /ENTRY:DriverEntry /NODEFAULTLIB /KERNEL /GUARD:CF /DYNAMICBASE /NXCOMPAT
    /RELEASE /DEBUG /INCREMENTAL:NO /MANIFEST:NO /PDBALTPATH:%_PDB% /Brepro)
  target_link_directories(usbwarp_driver_flags INTERFACE ${UW_DRIVER_LIBRARIES})
  target_link_libraries(usbwarp_driver_flags INTERFACE ntoskrnl.lib hal.lib BufferOverflowK.lib)
else()
  target_compile_options(usbwarp_driver_flags INTERFACE
    -g -Wall -Wextra -Werror -Wno-multichar -ffreestanding -fno-stack-protector -fno-builtin
    -ffile-prefix-map=${UW_ROOT}/=)
  # mingw's wdm.h and its intrinsics define both; clang emits them as global functions then, one set for each file.
  target_compile_definitions(usbwarp_driver_flags INTERFACE
    __INTRINSIC_DEFINED_InterlockedBitTestAndSet __INTRINSIC_DEFINED_InterlockedBitTestAndReset)
  if(CMAKE_C_COMPILER_ID STREQUAL Clang)
    # Freestanding, clang leaves out the unwind tables that Windows needs of each function on x64.
    target_compile_options(usbwarp_driver_flags INTERFACE
      -gcodeview -fms-extensions -Xclang -cfguard -fasynchronous-unwind-tables)
  endif()
endif()

option(USBWARP_COVERAGE "Count what the shipped drivers execute, for tests/wine/coverage.py (GCC)" OFF)

# The files of the driver's own folder count; what they have counted is written out by tests/wine/coverage/gcov.c.
function(uw_cover name)
  foreach(source ${ARGN})
    if(source MATCHES "^[a-z]+\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-fprofile-arcs;-ftest-coverage;-fprofile-info-section=.gcov$m;-fprofile-update=atomic;-Og")
    endif()
  endforeach()
  target_sources(${name} PRIVATE ${UW_ROOT}/tests/wine/coverage/gcov.c)
  target_link_libraries(${name} PRIVATE -Wl,--entry,uw_coverage_entry gcov)
endfunction()

function(uw_driver name)
  add_executable(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES SUFFIX .sys)
  target_link_libraries(${name} PRIVATE usbwarp_driver_flags)
  if(USBWARP_COVERAGE AND CMAKE_CURRENT_SOURCE_DIR MATCHES "^${UW_ROOT}/host/windows/")
    uw_cover(${name} ${ARGN})
  endif()
  if(CMAKE_C_COMPILER_ID STREQUAL Clang AND NOT MSVC)
    target_sources(${name} PRIVATE ${UW_ROOT}/host/windows/cmake/loadconfig.c)
    add_custom_command(TARGET ${name} POST_BUILD VERBATIM
      COMMAND ${UW_ROOT}/host/windows/cmake/finish.py $<TARGET_FILE:${name}>
        $<TARGET_FILE_DIR:${name}>/$<TARGET_FILE_BASE_NAME:${name}>.pdb)
  endif()
endfunction()

# For the folders that make drivers: the link rule holds from here to the end of the folder.
macro(uw_link_drivers)
  set(CMAKE_C_STANDARD_LIBRARIES "")
  if(MSVC)
    # The options above say it all.
  elseif(CMAKE_C_COMPILER_ID STREQUAL Clang)
    set(CMAKE_C_LINK_EXECUTABLE
      "lld-link -nologo -driver:wdm -subsystem:native,10.0 -entry:DriverEntry -nodefaultlib -guard:cf -dynamicbase -highentropyva \
-nxcompat -debug -pdbaltpath:%_PDB% -Brepro -lldmingw -out:<TARGET> <OBJECTS> \
${UW_DRIVER_LIBRARIES}/libntoskrnl.a ${UW_DRIVER_LIBRARIES}/libhal.a <LINK_LIBRARIES>")
  else()
    set(CMAKE_C_LINK_EXECUTABLE
      "<CMAKE_C_COMPILER> -nostdlib -nostartfiles -Wl,--subsystem,native:10.0 -Wl,--entry,DriverEntry \
-Wl,--image-base,0x140000000 -Wl,--dynamicbase -Wl,--nxcompat -Wl,--wdmdriver -Wl,--high-entropy-va \
-Wl,--file-alignment,0x200 -Wl,--section-alignment,0x1000 -Wl,--exclude-all-symbols -Wl,--no-insert-timestamp \
-o <TARGET> <OBJECTS> <LINK_LIBRARIES> -lntoskrnl -lhal -lgcc")
  endif()
endmacro()
