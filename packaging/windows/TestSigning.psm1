# SPDX-License-Identifier: GPL-2.0-only
# What Install-TestSigning.ps1 and Remove-TestSigning.ps1 share. They change a machine so that it loads drivers which a
# test certificate signed; what they changed is written down, so that exactly that can be undone.

$RecordPath = 'HKLM:\SOFTWARE\UsbWarp\TestSigning'
$Stores = 'Root', 'TrustedPublisher'

function Test-Administrator {
	$identity = [Security.Principal.WindowsIdentity]::GetCurrent()
	([Security.Principal.WindowsPrincipal]$identity).IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
}

# 'On', 'Off', or 'None' on machines without UEFI.
function Get-SecureBoot {
	try {
		if (Confirm-SecureBootUEFI -ErrorAction Stop) { 'On' } else { 'Off' }
	} catch [PlatformNotSupportedException] {
		'None'
	}
}

# Is the system's volume encrypted, so that a change of how Windows starts makes it ask for the recovery key?
function Test-BitLocker {
	if (-not (Get-Command Get-BitLockerVolume -ErrorAction SilentlyContinue)) { return $false }
	$volume = Get-BitLockerVolume -MountPoint $env:SystemDrive -ErrorAction SilentlyContinue
	[bool]($volume -and $volume.ProtectionStatus -eq 'On')
}

# Did this Windows start in test mode? Asked of the registry, since bcdedit answers in the user's language.
function Test-TestSigning {
	$control = Get-ItemProperty -Path 'HKLM:\SYSTEM\CurrentControlSet\Control'
	$control.SystemStartOptions -match '\bTESTSIGNING\b'
}

function Set-TestSigning([bool]$On) {
	$word = if ($On) { 'on' } else { 'off' }
	& bcdedit.exe /set '{current}' testsigning $word | Out-Null
	if ($LASTEXITCODE) { throw "bcdedit /set testsigning $word failed with code $LASTEXITCODE" }
}

# A certificate to be trusted here may sign code and do nothing else.
function Read-TestCertificate([string]$Path) {
	$certificate = [Security.Cryptography.X509Certificates.X509Certificate2]::new((Resolve-Path $Path).ProviderPath)
	$usages = @($certificate.Extensions | Where-Object { $_.Oid.Value -eq '2.5.29.37' } |
		ForEach-Object { $_.EnhancedKeyUsages } | ForEach-Object { $_.Value })
	if (-not ($usages.Count -eq 1 -and $usages[0] -eq '1.3.6.1.5.5.7.3.3')) {
		throw "$Path is not a certificate for signing code alone; it will not be trusted"
	}
	if ($certificate.NotAfter -lt (Get-Date)) { throw "$Path ended on $($certificate.NotAfter)" }
	$certificate
}

function Add-TrustedCertificate($Certificate) {
	foreach ($name in $Stores) {
		$store = [Security.Cryptography.X509Certificates.X509Store]::new($name, 'LocalMachine')
		$store.Open('ReadWrite')
		try { $store.Add($Certificate) } finally { $store.Close() }
	}
}

function Remove-TrustedCertificate([string]$Thumbprint) {
	foreach ($name in $Stores) {
		$store = [Security.Cryptography.X509Certificates.X509Store]::new($name, 'LocalMachine')
		$store.Open('ReadWrite')
		try {
			foreach ($found in $store.Certificates.Find('FindByThumbprint', $Thumbprint, $false)) { $store.Remove($found) }
		} finally {
			$store.Close()
		}
	}
}

# Thumbprints that were added here, and whether test mode was turned on here.
function Get-Record {
	$record = Get-ItemProperty -Path $RecordPath -ErrorAction SilentlyContinue
	[pscustomobject]@{
		Thumbprints = @(if ($record) { $record.Thumbprints })
		TurnedOn    = [bool]($record -and $record.TurnedOn)
	}
}

function Set-Record([string[]]$Thumbprints, [bool]$TurnedOn) {
	if (-not (Test-Path $RecordPath)) { New-Item -Path $RecordPath -Force | Out-Null }
	Set-ItemProperty -Path $RecordPath -Name Thumbprints -Type MultiString -Value $Thumbprints
	Set-ItemProperty -Path $RecordPath -Name TurnedOn -Type DWord -Value ([int]$TurnedOn)
}

function Clear-Record {
	Remove-Item -Path $RecordPath -ErrorAction SilentlyContinue
}

Export-ModuleMember -Function *
