# SPDX-License-Identifier: GPL-2.0-only
# Runs a script of packaging/windows on an invented machine: what the script asks Windows for is answered from a file, and
# what it changes is written there. PowerShell takes aliases and functions before cmdlets and programs, in modules too.
param(
	[Parameter(Mandatory)][string]$Script,
	[Parameter(Mandatory)][string]$StateFile, # JSON, read and written
	[string]$Arguments = '{}'                 # JSON: the script's parameters
)
$ErrorActionPreference = 'Stop'
$global:machine = Get-Content -Raw $StateFile | ConvertFrom-Json -AsHashtable

# ---- the registry: keys that are written, and the one that tells how Windows started ----
# Whatever is not below HKLM: is the real thing.

function global:Test-Path {
	param([Parameter(Position = 0)][string]$Path)
	if ($Path -notlike 'HKLM:*') { return Microsoft.PowerShell.Management\Test-Path $Path }
	$machine.registry.ContainsKey($Path)
}
function global:New-Item {
	[CmdletBinding()]
	param([string]$Path, [switch]$Force)
	if ($Path -notlike 'HKLM:*') { throw "New-Item ${Path}: not the registry" }
	$machine.registry[$Path] = @{}
}
function global:Remove-Item {
	[CmdletBinding()]
	param([string]$Path)
	if (-not $machine.registry.ContainsKey($Path)) { Write-Error "no $Path"; return }
	$machine.registry.Remove($Path)
}
function global:Get-ItemProperty {
	[CmdletBinding()]
	param([string]$Path)
	if ($Path -eq 'HKLM:\SYSTEM\CurrentControlSet\Control') {
		return [pscustomobject]@{ SystemStartOptions = $(if ($machine.started_in_test_mode) { ' TESTSIGNING  NOEXECUTE=OPTIN' } else { ' NOEXECUTE=OPTIN' }) }
	}
	if (-not $machine.registry.ContainsKey($Path)) { Write-Error "no $Path"; return }
	[pscustomobject]$machine.registry[$Path]
}
function global:Set-ItemProperty {
	[CmdletBinding()]
	param([string]$Path, [string]$Name, [string]$Type, [Parameter(Mandatory)][AllowNull()][AllowEmptyCollection()][object]$Value)
	if (-not $machine.registry.ContainsKey($Path)) { Write-Error "no $Path"; return }
	$machine.registry[$Path][$Name] = if ($Type -eq 'MultiString') { , @($Value) } else { $Value }
}

# ---- how it starts ----

function global:Confirm-SecureBootUEFI {
	[CmdletBinding()] param()
	if ($machine.secure_boot -eq 'none') { throw [PlatformNotSupportedException]::new('Cmdlet not supported on this platform') }
	$machine.secure_boot -eq 'on'
}
function global:Get-BitLockerVolume {
	[CmdletBinding()] param([string]$MountPoint)
	if ($MountPoint -ne $env:SystemDrive) { throw "BitLocker of $MountPoint" }
	[pscustomobject]@{ ProtectionStatus = $(if ($machine.bitlocker) { 'On' } else { 'Off' }) }
}
function global:bcdedit.exe {
	if ("$args" -notmatch '^/set {current} testsigning (on|off)$') { throw "bcdedit $args" }
	$global:LASTEXITCODE = [int]$machine.bcdedit_code
	if (-not $machine.bcdedit_code) { $machine.test_mode = $Matches[1] -eq 'on' }
}

# ---- what .NET has on Windows alone; after the module has been loaded, its functions stand behind these ----

function global:Invented-Administrator { $machine.administrator }
function global:Invented-Add($Certificate) { $machine.trusted = @($machine.trusted) + $Certificate.Thumbprint }
function global:Invented-Remove([string]$Thumbprint) { $machine.trusted = @($machine.trusted | Where-Object { $_ -ne $Thumbprint }) }
Set-Alias -Scope Global Test-Administrator Invented-Administrator
Set-Alias -Scope Global Add-TrustedCertificate Invented-Add
Set-Alias -Scope Global Remove-TrustedCertificate Invented-Remove

$env:SystemDrive = 'C:'
$words = ConvertFrom-Json -AsHashtable $Arguments
try {
	& $Script @words
} catch {
	$message = $_.Exception.Message
}
$machine | ConvertTo-Json -Depth 9 | Set-Content $StateFile
if ($message) { [Console]::Error.WriteLine($message); exit 1 }
