/* A module of OpenIPMI's ipmi_sim: answers DCMI's "Get Power Reading" (DCMI 1.5, 6.6.1) with the
 * watts in the file that its configuration names, while there is one. */
#include <stdio.h>

#define DCMI 0xdc /* the group extension */

typedef void (*handler)(void *mc, void *msg, unsigned char *answer, unsigned int *length, void *file);
void ipmi_emu_register_group_extension_handler(unsigned char group, handler answered, void *file);

static char path[4096];

static void power_reading(void *mc, void *msg, unsigned char *answer, unsigned int *length, void *data)
{
    unsigned int watts = 0, place;
    FILE *file = fopen(path, "r");
    (void)mc, (void)msg, (void)data;
    *length = 19;
    if (!file || fscanf(file, "%u", &watts) != 1) {
        answer[0] = 0xc1; /* invalid command, as of a controller without DCMI */
        *length = 1;
    }
    if (file)
        fclose(file);
    if (*length == 1)
        return;
    for (place = 0; place < 19; place++)
        answer[place] = 0;
    answer[1] = DCMI;
    for (place = 0; place < 4; place++) { /* now, least, most, mean */
        answer[2 + 2 * place] = watts & 0xff;
        answer[3 + 2 * place] = watts >> 8;
    }
    answer[14] = 1;    /* over a second */
    answer[18] = 0x40; /* it is active */
}

int ipmi_sim_module_print_version(void *sys, char *options)
{
    (void)sys, (void)options;
    return 0;
}

int ipmi_sim_module_init(void *sys, char *options)
{
    (void)sys;
    snprintf(path, sizeof path, "%s", options);
    ipmi_emu_register_group_extension_handler(DCMI, power_reading, NULL);
    return 0;
}
