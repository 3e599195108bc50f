# SPDX-License-Identifier: GPL-2.0-only
# Finds the Windows driver kit for x64: Wdk_FOUND, Wdk_VERSION, Wdk_INCLUDE_DIRS, Wdk_LIBRARY_DIR (ntoskrnl.lib, hal.lib,
# usbdex.lib). WDKContentRoot in the environment, which the kit's command prompt sets, or -DWDK_ROOT says where it is; of
# several versions the newest is taken. tests/windows/test_cmake.py lets it find an invented kit; no real one was at hand.
set(_roots ${WDK_ROOT} $ENV{WDKContentRoot} "C:/Program Files (x86)/Windows Kits/10" "C:/Program Files/Windows Kits/10")
set(_newest 0)
foreach(_root IN LISTS _roots)
  file(TO_CMAKE_PATH "${_root}" _root)
  file(GLOB _headers "${_root}/Include/*/km/ntddk.h")
  foreach(_header IN LISTS _headers)
    string(REGEX REPLACE ".*/Include/([^/]+)/km/ntddk.h$" "\\1" _version "${_header}")
    if(_version VERSION_GREATER _newest AND EXISTS "${_root}/Lib/${_version}/km/x64/ntoskrnl.lib")
      set(_newest ${_version})
      set(Wdk_INCLUDE_DIRS "${_root}/Include/${_version}/km/crt" "${_root}/Include/${_version}/km"
        "${_root}/Include/${_version}/shared")
      set(Wdk_LIBRARY_DIR "${_root}/Lib/${_version}/km/x64")
    endif()
  endforeach()
endforeach()
if(_newest VERSION_GREATER 0)
  set(Wdk_VERSION ${_newest})
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Wdk REQUIRED_VARS Wdk_LIBRARY_DIR Wdk_INCLUDE_DIRS VERSION_VAR Wdk_VERSION)
