// Two certificates that sign themselves, valid from 2020 to 2120, and their keys: of use to nobody,
// since nobody but a test trusts them. For `startBackend(handler, { tls: localhostCertificate })`.

/** A certificate and its key, in PEM. */
export interface TestCertificate {
  key: string;
  cert: string;
}

/** For `localhost` and `127.0.0.1`: what a backend of the fixtures is. */
export const localhostCertificate: TestCertificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg17YAZoVxoreEbxId
8aN8dABs6I12O3dMNPQHzmKZyY6hRANCAASDRxa+sjIeVbDyxgqfPnI4URiDv0EY
F9z2rMpqU/OoJH0wBX5C3P1Sr5uMt25KYs9+GhY24qSM1yetlZz/vmO3
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBZDCCAQugAwIBAgIBATAKBggqhkjOPQQDAjATMREwDwYDVQQDDAh0ZXN0IG93
bjAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowEzERMA8GA1UEAwwI
dGVzdCBvd24wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASDRxa+sjIeVbDyxgqf
PnI4URiDv0EYF9z2rMpqU/OoJH0wBX5C3P1Sr5uMt25KYs9+GhY24qSM1yetlZz/
vmO3o04wTDAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwDwYDVR0TAQH/BAUw
AwEB/zAdBgNVHQ4EFgQUiVviiHEfoodUX3D1LHnVCF+3gwEwCgYIKoZIzj0EAwID
RwAwRAIgb8nuxeBTGY2CNcRf1PggGo2KeZVm8t/Vb9y4cvVRkd0CIAGo6RNCiG0e
9tjQtfzqXVg1y4dUknNXbjCw49pZ5hw0
-----END CERTIFICATE-----
`,
};

/** For `impostor.example` alone. */
export const impostorCertificate: TestCertificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJ34U7DGK6WeBIGag
fKCfYTJviRFOBIJrRCCcHGfu22WhRANCAATOUSRqzKSBZQd1WUfHcIsLZ5u3UyG0
T7ECRzMUMkpaXKY+JcTA/rzEdQQQO1hOgpng+7ya8dxlDF9a2mkCdkJr
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBazCCARCgAwIBAgIBAjAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDAp0ZXN0IG90
aGVyMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAVMRMwEQYDVQQD
DAp0ZXN0IG90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzlEkasykgWUH
dVlHx3CLC2ebt1MhtE+xAkczFDJKWlymPiXEwP68xHUEEDtYToKZ4Pu8mvHcZQxf
WtppAnZCa6NPME0wGwYDVR0RBBQwEoIQaW1wb3N0b3IuZXhhbXBsZTAPBgNVHRMB
Af8EBTADAQH/MB0GA1UdDgQWBBRwqeMflP3+hWvZ8v3v9h6xQjVUxDAKBggqhkjO
PQQDAgNJADBGAiEAmJ3YbRZn9F7ImaqlFwcQxcOe47zG7iqk/8ZFImUsq3MCIQCX
IdeWrmoWoO6YOuQRTMCv+xQ5gy1K/3JxtJAIqxKmsA==
-----END CERTIFICATE-----
`,
};
