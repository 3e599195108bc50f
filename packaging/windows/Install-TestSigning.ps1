# SPDX-License-Identifier: GPL-2.0-only
<#
.SYNOPSIS
Prepares a test machine for drivers that a test certificate signed.
.DESCRIPTION
Puts the certificate into the machine's stores Root and TrustedPublisher, and turns test mode on. Both lower this machine's
guard: whatever that key signs is trusted, and in test mode anybody who is administrator can load drivers of their own.
Use a machine for tests, and run Remove-TestSigning.ps1 when you are done.

Secure Boot has to be off: with it, Windows ignores test mode. Turning it off is done in the firmware and not here.
With BitLocker, each of these changes may make Windows ask for the recovery key at its next start. Have it at hand.

-WhatIf says what would be done, and changes nothing.
.PARAMETER Certificate
The .cer file that lies beside the signed files.
.PARAMETER RecoveryKeyAtHand
Says that you have BitLocker's recovery key outside of this machine.
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')]
param(
	[Parameter(Mandatory)][string]$Certificate,
	[switch]$RecoveryKeyAtHand
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
Import-Module (Join-Path $PSScriptRoot 'TestSigning.psm1') -Force

$file = Read-TestCertificate $Certificate
Write-Host "Certificate: $($file.Subject), until $($file.NotAfter.ToString('yyyy-MM-dd')), $($file.Thumbprint)"
$secureBoot = Get-SecureBoot
Write-Host "Secure Boot: $secureBoot"
$encrypted = Test-BitLocker
Write-Host "BitLocker on the system's volume: $(if ($encrypted) { 'on' } else { 'off' })"

if (-not $WhatIfPreference -and -not (Test-Administrator)) { throw 'Run this from an elevated prompt (Run as administrator).' }
if ($secureBoot -eq 'On') {
	throw ('Secure Boot is on, so Windows would ignore test mode; nothing was changed. Turn it off in the firmware first. ' +
		'With BitLocker, have the recovery key at hand before you do.')
}
if ($encrypted -and -not $RecoveryKeyAtHand -and -not $WhatIfPreference) {
	throw ('BitLocker protects this system, and may ask for the recovery key after this change; nothing was changed. ' +
		'Look that you have the key outside of this machine, and say so with -RecoveryKeyAtHand.')
}

$record = Get-Record
if ($PSCmdlet.ShouldProcess('LocalMachine\Root and LocalMachine\TrustedPublisher', "trust $($file.Subject)")) {
	Set-Record -Thumbprints (@($record.Thumbprints) + $file.Thumbprint | Select-Object -Unique) -TurnedOn $record.TurnedOn
	Add-TrustedCertificate $file
}
if (Test-TestSigning) {
	Write-Host 'Test mode is on already.'
} elseif ($PSCmdlet.ShouldProcess('the boot configuration', 'turn test mode on')) {
	Set-TestSigning $true
	Set-Record -Thumbprints @((Get-Record).Thumbprints) -TurnedOn $true
	Write-Host 'Test mode is on after the next restart of Windows.'
}
