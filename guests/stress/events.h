/* SPDX-License-Identifier: MIT */
#ifndef EVENTS_H
#define EVENTS_H

/*
 * PURPOSE: the parts of the test of interrupts and faults at awkward places.
 */

void pushes_round(void);  /* in runs of PUSH */
void strings_round(void); /* in REP */
void shadows_round(void); /* behind STI, MOV SS and kin */
void gates_round(void);   /* while an exception is delivered */

#endif /* EVENTS_H */
