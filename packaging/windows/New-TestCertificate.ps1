# SPDX-License-Identifier: GPL-2.0-only
<#
.SYNOPSIS
Makes a key for signing a build on this machine, for those who build with Visual Studio; scripts/build-windows.sh needs none.
.DESCRIPTION
The key lies in the current user's store, cannot be exported, signs code and nothing else, and ends after -Days. Its
certificate is written to -Out for Install-TestSigning.ps1 on the test machine. Then:

	signtool sign /fd sha256 /sha1 THUMBPRINT UsbWarp.sys UsbWarpFilter.sys UsbWarpFilter.cat
#>
[CmdletBinding(SupportsShouldProcess)]
param(
	[string]$Out = 'UsbWarpTest.cer',
	[ValidateRange(1, 365)][int]$Days = 30
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

if ($PSCmdlet.ShouldProcess('Cert:\CurrentUser\My', "make a key for $Days days")) {
	$certificate = New-SelfSignedCertificate -Type CodeSigningCert -Subject 'CN=UsbWarp test signing' -KeyAlgorithm RSA `
		-KeyLength 3072 -HashAlgorithm SHA256 -KeyExportPolicy NonExportable -CertStoreLocation Cert:\CurrentUser\My `
		-NotAfter (Get-Date).AddDays($Days)
	Export-Certificate -Cert $certificate -FilePath $Out | Out-Null
	$certificate.Thumbprint
}
