/* One MQTT login over mbedTLS 2.28, as a device with a C SDK would do it.
 *
 * mbedtls_client HOST PORT NAME CAFILE [CERTFILE KEYFILE] [SESSION]
 *
 * Reads a CONNECT packet from stdin, verifies the server against CAFILE and NAME ("-" for CAFILE: trust nobody), sends
 * the packet, prints "CONNACK n", disconnects. Resumes the TLS session in the file SESSION, if there is one, and leaves
 * there the one that it had. Errors are printed as mbedTLS words them, with the alert that came.
 * Exit: 0 admitted, 1 refused, 2 wrong use.
 */
#include <stdio.h>
#include <string.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#define PACKET_MAX 4096
#define SESSION_MAX 16384
#define READ_TIMEOUT_MS 15000

static mbedtls_net_context wire;
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_source;
static mbedtls_x509_crt trusted, own;
static mbedtls_pk_context key;
static mbedtls_ssl_config config;
static mbedtls_ssl_context tls;

static int failed(const char *step, int code)
{
    char text[256];
    mbedtls_strerror(code, text, sizeof text);
    printf("%s: %s (-0x%04X)\n", step, text, (unsigned) -code);
    /* in_msg still holds what was read last: level and description of the alert */
    if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE && tls.in_msg != NULL)
        printf("received alert %d\n", tls.in_msg[1]);
    return code;
}

static void explain_verification(void)
{
    char text[1024];
    uint32_t flags = mbedtls_ssl_get_verify_result(&tls);
    if (flags == 0 || flags == 0xFFFFFFFFu) /* all ones: it did not come to a verification */
        return;
    mbedtls_x509_crt_verify_info(text, sizeof text, "verification: ", flags);
    printf("%s", text);
}

static int configure(int argc, char **argv)
{
    int code;
    mbedtls_ssl_config_init(&config);
    if ((code = mbedtls_ctr_drbg_seed(&random_source, mbedtls_entropy_func, &entropy, NULL, 0)) != 0)
        return failed("random", code);
    if (strcmp(argv[4], "-") != 0 && (code = mbedtls_x509_crt_parse_file(&trusted, argv[4])) != 0)
        return failed("cafile", code);
    if ((code = mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                            MBEDTLS_SSL_PRESET_DEFAULT)) != 0)
        return failed("config", code);
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&config, &trusted, NULL);
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random_source);
    mbedtls_ssl_conf_read_timeout(&config, READ_TIMEOUT_MS);
    if (argc < 7)
        return 0;
    if ((code = mbedtls_x509_crt_parse_file(&own, argv[5])) != 0)
        return failed("certfile", code);
    if ((code = mbedtls_pk_parse_keyfile(&key, argv[6], NULL)) != 0)
        return failed("keyfile", code);
    return mbedtls_ssl_conf_own_cert(&config, &own, &key);
}

static void bring_session(const char *path)
{
    unsigned char saved[SESSION_MAX];
    mbedtls_ssl_session session;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return;
    mbedtls_ssl_session_init(&session);
    if (mbedtls_ssl_session_load(&session, saved, fread(saved, 1, sizeof saved, file)) == 0)
        mbedtls_ssl_set_session(&tls, &session);
    mbedtls_ssl_session_free(&session);
    fclose(file);
}

static void keep_session(const char *path)
{
    unsigned char saved[SESSION_MAX];
    size_t length;
    mbedtls_ssl_session session;
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return;
    mbedtls_ssl_session_init(&session);
    if (mbedtls_ssl_get_session(&tls, &session) == 0
        && mbedtls_ssl_session_save(&session, saved, sizeof saved, &length) == 0)
        fwrite(saved, 1, length, file);
    mbedtls_ssl_session_free(&session);
    fclose(file);
}

static int shake_hands(char **argv, const char *session)
{
    int code;
    if ((code = mbedtls_net_connect(&wire, argv[1], argv[2], MBEDTLS_NET_PROTO_TCP)) != 0)
        return failed("connect", code);
    if ((code = mbedtls_ssl_setup(&tls, &config)) != 0 || (code = mbedtls_ssl_set_hostname(&tls, argv[3])) != 0)
        return failed("setup", code);
    mbedtls_ssl_set_bio(&tls, &wire, mbedtls_net_send, mbedtls_net_recv, mbedtls_net_recv_timeout);
    if (session != NULL)
        bring_session(session);
    if ((code = mbedtls_ssl_handshake(&tls)) == 0) {
        if (session != NULL)
            keep_session(session);
        return 0;
    }
    failed("handshake", code);
    explain_verification();
    return code;
}

static int log_in(const unsigned char *packet, size_t length)
{
    static const unsigned char disconnect[] = {0xE0, 0x00};
    unsigned char connack[4];
    size_t got = 0;
    int code = mbedtls_ssl_write(&tls, packet, length);
    if (code < 0)
        return failed("write", code);
    while (got < sizeof connack) {
        code = mbedtls_ssl_read(&tls, connack + got, sizeof connack - got);
        if (code <= 0) {
            code == 0 ? printf("read: closed without CONNACK\n") : failed("read", code);
            return -1;
        }
        got += (size_t) code;
    }
    printf("CONNACK %d\n", connack[3]);
    if (connack[3] != 0)
        return -1;
    mbedtls_ssl_write(&tls, disconnect, sizeof disconnect);
    mbedtls_ssl_close_notify(&tls);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned char packet[PACKET_MAX];
    size_t length;
    const char *session = argc == 6 || argc == 8 ? argv[--argc] : NULL;
    int code;

    if (argc != 5 && argc != 7) {
        fprintf(stderr, "usage: mbedtls_client HOST PORT NAME CAFILE [CERTFILE KEYFILE] [SESSION]\n");
        return 2;
    }
    length = fread(packet, 1, sizeof packet, stdin);
    mbedtls_net_init(&wire);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random_source);
    mbedtls_x509_crt_init(&trusted);
    mbedtls_x509_crt_init(&own);
    mbedtls_pk_init(&key);
    mbedtls_ssl_init(&tls);
    code = configure(argc, argv) == 0 && shake_hands(argv, session) == 0 && log_in(packet, length) == 0 ? 0 : 1;
    mbedtls_net_free(&wire);
    return code;
}
