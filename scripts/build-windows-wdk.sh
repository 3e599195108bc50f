#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Holds the Windows side against Microsoft's own headers and import libraries, and its scripts against PowerShell:
# build-windows-wdk.sh. Needs .NET's SDK, clang and what build-windows.sh needs; fetches two packages of the Windows SDK,
# 1.1 GB unpacked, and PowerShell for Linux from the NuGet source that "dotnet nuget list source" names, into build/wdk. The
# SDK's licence is Microsoft's; nothing of it goes into what is built.
#
# The kernel's headers and ntoskrnl.lib are in another package, Microsoft.Windows.WDK.x64, which not every source has. It is
# not needed here: what drivers and the USB stack share (URBs, control codes, status values) is in the Windows SDK, too.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
version=${USBWARP_SDK_VERSION:-10.0.28000.2705}
powershell=${USBWARP_PWSH_VERSION:-7.6.9}
work=$root/build/wdk

command -v dotnet >/dev/null || { echo "build-windows-wdk: needs dotnet, to fetch packages" >&2; exit 1; }
mkdir -p "$work"
cat >"$work/fetch.csproj" <<EOF
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <TargetFramework>net$(dotnet --version | cut -d. -f1).0</TargetFramework>
    <RestorePackagesPath>$work/packages</RestorePackagesPath>
    <DisableImplicitFrameworkReferences>true</DisableImplicitFrameworkReferences>
  </PropertyGroup>
  <ItemGroup>
    <PackageDownload Include="Microsoft.Windows.SDK.CPP" Version="[$version]" />
    <PackageDownload Include="Microsoft.Windows.SDK.CPP.x64" Version="[$version]" />
  </ItemGroup>
</Project>
EOF
dotnet restore "$work/fetch.csproj"
[ -x "$work/tools/pwsh" ] || dotnet tool install PowerShell --version "$powershell" --tool-path "$work/tools"
"$root/tests/windows/test_sdk.py"
"$root/tests/windows/test_powershell.py"
