# SPDX-License-Identifier: GPL-2.0-only
# uw_driver(NAME SOURCES...): a WDM driver NAME.sys, made by whichever compiler the toolchain file names.
#
# Clang's is linked by lld-link, which alone writes control-flow guard tables and a PDB; GCC's by its own linker. Neither
# puts a time or a path into the file, so that two builds are the same.

get_filename_component(UW_ROOT ${CMAKE_CURRENT_LIST_DIR}/../../.. ABSOLUTE)
set(UW_DDK /usr/x86_64-w64-mingw32/include/ddk)
set(UW_DRIVER_LIBRARIES /usr/x86_64-w64-mingw32/lib)

add_library(usbwarp_driver_flags INTERFACE)
target_include_directories(usbwarp_driver_flags INTERFACE ${UW_ROOT}/include ${UW_ROOT}/core)
target_include_directories(usbwarp_driver_flags SYSTEM INTERFACE ${UW_DDK})
target_compile_definitions(usbwarp_driver_flags INTERFACE
  UW_NT_KERNEL _WIN64 _AMD64_ NTDDI_VERSION=0x0A000000 _WIN32_WINNT=0x0A00 WINVER=0x0A00)
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

function(uw_driver name)
  add_executable(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES SUFFIX .sys)
  target_link_libraries(${name} PRIVATE usbwarp_driver_flags)
  if(CMAKE_C_COMPILER_ID STREQUAL Clang)
    target_sources(${name} PRIVATE ${UW_ROOT}/host/windows/cmake/loadconfig.c)
    add_custom_command(TARGET ${name} POST_BUILD VERBATIM
      COMMAND ${UW_ROOT}/host/windows/cmake/finish.py $<TARGET_FILE:${name}> $<TARGET_FILE_DIR:${name}>/${name}.pdb)
  endif()
endfunction()

# For the folders that make drivers: the link rule holds from here to the end of the folder.
macro(uw_link_drivers)
  set(CMAKE_C_STANDARD_LIBRARIES "")
  if(CMAKE_C_COMPILER_ID STREQUAL Clang)
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
