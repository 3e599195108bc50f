# SPDX-License-Identifier: GPL-2.0-only
# uw_program(NAME SOURCES...): a user-mode program NAME.exe, by whichever compiler the toolchain file names. It needs no
# DLL but Windows' own, and neither a time nor a path goes into the file, so that two builds are the same.

get_filename_component(UW_ROOT ${CMAKE_CURRENT_LIST_DIR}/../../.. ABSOLUTE)

add_library(usbwarp_program_flags INTERFACE)
target_include_directories(usbwarp_program_flags INTERFACE ${UW_ROOT}/include)
target_compile_definitions(usbwarp_program_flags INTERFACE
  UNICODE _UNICODE WIN32_LEAN_AND_MEAN NTDDI_VERSION=0x0A000006 _WIN32_WINNT=0x0A00 WINVER=0x0A00
  USBWARP_RELEASE="${PROJECT_VERSION}")
if(MSVC)
  target_compile_options(usbwarp_program_flags INTERFACE
    /W4 /WX /Brepro -Wno-unused-parameter -Wno-language-extension-token)
  target_compile_definitions(usbwarp_program_flags INTERFACE _CRT_SECURE_NO_WARNINGS _CRT_NONSTDC_NO_WARNINGS)
  target_link_options(usbwarp_program_flags INTERFACE
    /GUARD:CF /DYNAMICBASE /HIGHENTROPYVA /NXCOMPAT /DEBUG /PDBALTPATH:%_PDB% /Brepro)
else()
  # mingw's own printf, which knows C99's formats, and prints the same in each version of Windows.
  target_compile_definitions(usbwarp_program_flags INTERFACE __USE_MINGW_ANSI_STDIO=1)
  target_compile_options(usbwarp_program_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C>:-g -Wall -Wextra -Werror -fstack-protector-strong -ffile-prefix-map=${UW_ROOT}/=>)
  target_link_options(usbwarp_program_flags INTERFACE
    -static -fstack-protector-strong -Wl,--dynamicbase -Wl,--nxcompat -Wl,--high-entropy-va -Wl,--no-insert-timestamp
    -Wl,--major-subsystem-version,10 -Wl,--minor-subsystem-version,0
    -Wl,--major-os-version,10 -Wl,--minor-os-version,0)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL Clang AND NOT MSVC)
  target_compile_options(usbwarp_program_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-gcodeview>)
endif()

function(uw_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE usbwarp_program_flags)
  if(CMAKE_C_COMPILER_ID STREQUAL Clang AND NOT MSVC)
    # An empty name: the PDB lies beside the program. Only its file name goes into the program.
    target_link_options(${name} PRIVATE -Wl,--pdb= -Wl,-Xlink=-pdbaltpath:%_PDB% -Wl,-Xlink=-Brepro)
    add_custom_command(TARGET ${name} POST_BUILD VERBATIM
      COMMAND ${UW_ROOT}/host/windows/cmake/finish.py $<TARGET_FILE:${name}> $<TARGET_FILE_DIR:${name}>/${name}.pdb)
  endif()
endfunction()
