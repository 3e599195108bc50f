# SPDX-License-Identifier: GPL-2.0-only
<#
.SYNOPSIS
Undoes what Install-TestSigning.ps1 did on this machine, and nothing else.
.DESCRIPTION
Takes the test certificates that it added out of the stores, and turns test mode off if it had turned it on. Uninstall
UsbWarp first: its drivers do not load any more afterwards. The uninstaller calls this with -CertificatesOnly.
With BitLocker, Windows may ask for the recovery key at its next start when test mode changes.

-WhatIf says what would be done, and changes nothing.
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')]
param([switch]$CertificatesOnly)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
Import-Module (Join-Path $PSScriptRoot 'TestSigning.psm1') -Force

if (-not $WhatIfPreference -and -not (Test-Administrator)) { throw 'Run this from an elevated prompt (Run as administrator).' }
$record = Get-Record
foreach ($thumbprint in $record.Thumbprints) {
	if ($PSCmdlet.ShouldProcess('LocalMachine\Root and LocalMachine\TrustedPublisher', "forget $thumbprint")) {
		Remove-TrustedCertificate $thumbprint
	}
}
if ($record.TurnedOn -and -not $CertificatesOnly -and $PSCmdlet.ShouldProcess('the boot configuration', 'turn test mode off')) {
	Set-TestSigning $false
	Write-Host 'Test mode is off after the next restart of Windows.'
}
if (-not $WhatIfPreference) {
	if ($CertificatesOnly -and $record.TurnedOn) { Set-Record -Thumbprints @() -TurnedOn $true } else { Clear-Record }
}
